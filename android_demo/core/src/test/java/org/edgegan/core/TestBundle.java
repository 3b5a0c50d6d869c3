package org.edgegan.core;

import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.Map;

/** A bundle in memory with one 2x2 model that a fake runtime computes: white minus the input. */
final class TestBundle implements Assets {
    static final String FOLDER = "models/m/";

    final Map<String, byte[]> files = new HashMap<>();

    TestBundle() throws Exception {
        byte[] model = {1, 2, 3, 4, 5};
        float[] input = new float[12];
        float[] output = new float[12];
        for (int i = 0; i < 12; i++) {
            input[i] = (i * 20) / 127.5f - 1f;
            output[i] = -input[i];
        }
        files.put(FOLDER + "model.tflite", model);
        files.put(FOLDER + "in.f32", bytes(input));
        files.put(FOLDER + "out.f32", bytes(output));
        text("models/index.json", "{\"schema_version\": 1, \"models\": [\"m\"], \"samples\": []}");
        text(FOLDER + "model.json", json(2, 2));
    }

    /** model.json of a model of this size; hashes are those of the files. */
    String json(int width, int height) throws Exception {
        return json(width, height, width, height, "");
    }

    /** The same of one that makes pictures of another size; `more` holds further keys, each with a comma after it. */
    String json(int width, int height, int outWidth, int outHeight, String more) throws Exception {
        return "{" + more + body(tensor(width, height), tensor(outWidth, outHeight));
    }

    private static String tensor(int width, int height) {
        return "[{\"name\": \"x\", \"shape\": [1, " + height + ", " + width + ", 3], \"layout\": \"NHWC\","
                + " \"dtype\": \"float32\", \"colour\": \"rgb\", \"range\": [-1, 1]}]";
    }

    private String body(String input, String output) throws Exception {
        return "\"schema_version\": 1, \"id\": \"m\", \"title\": \"M\", \"role\": \"student\", \"family\": \"resnet\",\n"
                + "\"precision\": \"fp32\", \"quantization\": \"none\", \"target\": \"tflite\", \"file\": \"model.tflite\",\n"
                + "\"bytes\": 5, \"sha256\": \"" + sha256(FOLDER + "model.tflite") + "\",\n\"inputs\": " + input
                + ", \"outputs\": " + output + ", \"parameters\": 7, \"macs\": 11,\n"
                + "\"complexity\": {\"macs_published\": 12, \"macs_fvcore\": 13}, \"parent\": null,\n"
                + "\"parity\": {\"psnr_db\": 99.5}, \"psnr_to_teacher_db\": null, \"licence\": \"none\",\n"
                + "\"golden\": {\"input\": \"in.f32\", \"output\": \"out.f32\", \"picture\": \"in.png\","
                + "\"input_sha256\": \"" + sha256(FOLDER + "in.f32") + "\", \"output_sha256\": \""
                + sha256(FOLDER + "out.f32") + "\", \"max_mean_abs\": 0.001}}";
    }

    void text(String path, String text) {
        files.put(path, text.getBytes(Charset.forName("UTF-8")));
    }

    void change(String before, String after) {
        String path = FOLDER + "model.json";
        String text = new String(files.get(path), Charset.forName("UTF-8"));
        if (!text.contains(before)) {
            throw new IllegalArgumentException(before);
        }
        text(path, text.replace(before, after));
    }

    SelfTest.Result selfTest() throws Exception {
        return SelfTest.check(new Bundle(this), "m", new SelfTest.Loader() {
            @Override
            public Runner load(ModelCard card) {
                return new Negative();
            }
        }, new SelfTest.Decoder() {
            @Override
            public ArrayPicture decode(String path) {
                int[] argb = new int[4];
                for (int i = 0; i < 4; i++) {
                    argb[i] = 0xFF000000 | i * 60 << 16 | (i * 60 + 20) << 8 | i * 60 + 40;
                }
                return new ArrayPicture(argb, 2, 2);
            }
        });
    }

    @Override
    public InputStream open(String path) throws IOException {
        byte[] bytes = files.get(path);
        if (bytes == null) {
            throw new FileNotFoundException(path);
        }
        return new ByteArrayInputStream(bytes);
    }

    /** A runtime that turns every value into its opposite. */
    static final class Negative implements Runner {
        @Override
        public void run(float[] input, float[] output) {
            for (int i = 0; i < input.length; i++) {
                output[i] = -input[i];
            }
        }

        @Override
        public String backend() {
            return "test";
        }

        @Override
        public void close() {}
    }

    private static byte[] bytes(float[] values) {
        ByteBuffer buffer = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asFloatBuffer().put(values);
        return buffer.array();
    }

    private String sha256(String path) throws Exception {
        return Bundle.hex(MessageDigest.getInstance("SHA-256").digest(files.get(path)));
    }
}
