package org.edgegan.core;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;

/** What `edgegan bundle` wrote: the list of models, their cards, checked files and golden tensors. */
public final class Bundle {
    private static final Charset UTF_8 = Charset.forName("UTF-8");
    private static final int MAX_TEXT_BYTES = 4 << 20;

    private final Assets assets;
    /** Ids of the models in the order they were bundled. */
    public final List<String> models = new ArrayList<>();
    /** Paths of the sample pictures. */
    public final List<String> samples = new ArrayList<>();

    /** Reads models/index.json; raises ModelException saying how to bundle a model when there is none. */
    public Bundle(Assets assets) throws ModelException {
        this.assets = assets;
        String path = "models/index.json";
        try {
            JsonObject index = new JsonObject(Json.parse(text(path)), "");
            for (Object id : index.list("models")) {
                models.add(String.valueOf(id));
            }
            for (Object sample : index.list("samples")) {
                samples.add(String.valueOf(sample));
            }
        } catch (IOException error) {
            throw new ModelException("no models in this app. Bundle one with: edgegan bundle RUN --target android", error);
        } catch (ModelException error) {
            throw new ModelException(path + ": " + error.getMessage(), error);
        }
        if (models.isEmpty()) {
            throw new ModelException("no models in this app. Bundle one with: edgegan bundle RUN --target android");
        }
    }

    /** The folder of a model inside the assets. */
    public static String folder(String id) {
        return "models/" + id + "/";
    }

    /** A model's card; raises ModelException naming file and key. */
    public ModelCard card(String id) throws ModelException {
        String path = folder(id) + "model.json";
        try {
            return ModelCard.read(text(path), path);
        } catch (IOException error) {
            throw new ModelException(path + " cannot be read. Bundle the model again", error);
        }
    }

    /** Raises ModelException unless the model file has the size and sha256 of its card. */
    public void checkModel(ModelCard card) throws ModelException {
        checkFile(folder(card.id) + card.file, card.bytes, card.sha256);
    }

    /** The golden input and output; raises ModelException when missing, altered or of another size. */
    public float[][] golden(ModelCard card) throws ModelException {
        return new float[][] {
            floats(folder(card.id) + card.golden.input, card.input.count(), card.golden.inputSha256),
            floats(folder(card.id) + card.golden.output, card.output.count(), card.golden.outputSha256),
        };
    }

    private float[] floats(String path, int count, String sha256) throws ModelException {
        checkFile(path, 4L * count, sha256);
        try (InputStream in = assets.open(path)) {
            float[] values = new float[count];
            ByteBuffer.wrap(all(in, 4 * count)).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
            return values;
        } catch (IOException error) {
            throw new ModelException(path + " cannot be read: " + error.getMessage(), error);
        }
    }

    private void checkFile(String path, long bytes, String sha256) throws ModelException {
        long size = 0;
        MessageDigest digest;
        try (InputStream in = assets.open(path)) {
            digest = MessageDigest.getInstance("SHA-256");
            byte[] block = new byte[1 << 16];
            for (int read = in.read(block); read >= 0; read = in.read(block)) {
                digest.update(block, 0, read);
                size += read;
            }
        } catch (IOException error) {
            throw new ModelException(path + " is missing or cannot be read. Bundle the model again", error);
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
        if (size != bytes) {
            throw new ModelException(path + " has " + size + " bytes, model.json says " + bytes
                    + ": it is cut off or another model. Bundle the model again");
        }
        if (!hex(digest.digest()).equals(sha256)) {
            throw new ModelException(path + " is damaged (its sha256 is not the one in model.json). Bundle the model again");
        }
    }

    private String text(String path) throws IOException {
        try (InputStream in = assets.open(path)) {
            return new String(all(in, MAX_TEXT_BYTES), UTF_8);
        }
    }

    private static byte[] all(InputStream in, int most) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        byte[] block = new byte[1 << 14];
        for (int read = in.read(block); read >= 0; read = in.read(block)) {
            out.write(block, 0, read);
            if (out.size() > most) {
                throw new IOException("larger than " + most + " bytes");
            }
        }
        return out.toByteArray();
    }

    static String hex(byte[] bytes) {
        StringBuilder out = new StringBuilder();
        for (byte value : bytes) {
            out.append(Character.forDigit((value >> 4) & 15, 16)).append(Character.forDigit(value & 15, 16));
        }
        return out.toString();
    }
}
