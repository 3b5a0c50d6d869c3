package org.edgegan.host;

import java.awt.image.BufferedImage;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.CRC32;
import javax.imageio.ImageIO;
import org.edgegan.core.ArrayPicture;
import org.edgegan.core.Assets;
import org.edgegan.core.Benchmark;
import org.edgegan.core.Bundle;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.Runner;
import org.edgegan.core.SelfTest;
import org.edgegan.core.SizedPicture;
import org.edgegan.core.Tensors;
import org.edgegan.core.Translator;

/**
 * Drives the app's core from the command line, so that it can be compared with Python.
 *
 * <p>selftest ASSETS | apply ASSETS ID (lines "MODE IN OUT" on stdin) | huge ASSETS ID WIDTH HEIGHT | record ASSETS ID RUNS
 *
 * <p>Modes of apply: tiled, resized, padded, cropped (picture to picture); input (picture to tensor, cropped); tensor
 * (tensor to tensor). Tensors are little-endian float32 files. Exit code 1: a failed self-test or an error on stderr.
 */
public final class Main {
    private static File assets;
    private static Bundle bundle;

    private Main() {}

    public static void main(String[] arguments) throws Exception {
        assets = new File(arguments[1]);
        try {
            bundle = new Bundle(new Assets() {
                @Override
                public InputStream open(String path) throws IOException {
                    return new FileInputStream(new File(assets, path));
                }
            });
            boolean good = true;
            if (arguments[0].equals("selftest")) {
                good = selfTest();
            } else {
                ModelCard card = bundle.card(arguments[2]);
                bundle.checkModel(card);
                try (Runner runner = load(card)) {
                    if (arguments[0].equals("apply")) {
                        apply(card, runner);
                    } else if (arguments[0].equals("huge")) {
                        huge(card, runner, Integer.parseInt(arguments[3]), Integer.parseInt(arguments[4]));
                    } else if (arguments[0].equals("record")) {
                        record(card, runner, Integer.parseInt(arguments[3]));
                    } else {
                        throw new ModelException("unknown command " + arguments[0]);
                    }
                }
            }
            System.exit(good ? 0 : 1);
        } catch (ModelException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }

    private static Runner load(ModelCard card) throws ModelException {
        return new LiteRtHost(new File(assets, Bundle.folder(card.id) + card.file).getPath(), card);
    }

    private static boolean selfTest() {
        boolean good = true;
        for (String id : bundle.models) {
            SelfTest.Result result = SelfTest.check(bundle, id, new SelfTest.Loader() {
                @Override
                public Runner load(ModelCard card) throws ModelException {
                    return Main.load(card);
                }
            }, new SelfTest.Decoder() {
                @Override
                public ArrayPicture decode(String path) throws ModelException {
                    return picture(new File(assets, path));
                }
            });
            System.out.println((result.passed ? "PASS " : "FAIL ") + result.id + ": " + result.message);
            good &= result.passed;
        }
        return good;
    }

    private static void apply(ModelCard card, Runner runner) throws IOException, ModelException {
        Translator translator = new Translator(runner, card);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t");
            File in = new File(words[1]);
            File out = new File(words[2]);
            if (words[0].equals("tensor")) {
                float[] result = new float[card.output.count()];
                runner.run(floats(in.toPath()), result);
                write(out.toPath(), result);
                continue;
            }
            ArrayPicture picture = picture(in);
            if (words[0].equals("input")) {
                ArrayPicture cut = picture.centreCrop(card.input.width, card.input.height);
                ArrayPicture small = org.edgegan.core.Resampler.resize(cut, card.input.width, card.input.height);
                float[] tensor = new float[card.input.count()];
                Tensors.toTensor(small.argb, small.argb.length, card.input, tensor);
                write(out.toPath(), tensor);
            } else if (words[0].equals("tiled")) {
                write(out, translator.tiled(picture, (Translator.Progress) null));
            } else if (words[0].equals("resized")) {
                write(out, translator.resized(picture));
            } else if (words[0].equals("padded")) {
                write(out, translator.padded(picture));
            } else {
                write(out, translator.cropped(picture)[1]);
            }
        }
    }

    /** A picture that exists only as a formula, so that nothing but the tiles needs memory. */
    private static void huge(ModelCard card, Runner runner, int width, int height)
            throws ModelException {
        final CRC32 checksum = new CRC32();
        final long[] rows = new long[1];
        new Translator(runner, card).tiled(new SizedPicture(width, height) {
            @Override
            public void read(int left, int top, int wide, int high, int[] out) {
                for (int i = 0; i < wide * high; i++) {
                    out[i] = 0xFF000000 | ((left + i % wide) * 3 ^ (top + i / wide) * 5);
                }
            }
        }, new Translator.RowSink() {
            @Override
            public void rows(int top, int count, int[] argb) {
                rows[0] += count;
                for (int pixel : argb) {
                    checksum.update(pixel);
                }
            }
        }, null);
        System.out.println(rows[0] + " rows, heap of at most "
                + (Runtime.getRuntime().maxMemory() >> 20) + " MiB, checksum " + checksum.getValue());
    }

    private static void record(ModelCard card, Runner runner, int runs) throws ModelException {
        Benchmark.Device device = new Benchmark.Device();
        device.name = "jvm";
        device.started = "2026-01-01T00:00:00+00:00";
        device.environment.put("processor", "this computer");
        Benchmark made = new Benchmark(runner, bundle.golden(card)[0], card.output.count(), runs, null);
        System.out.print(made.record(card, device));
    }

    private static ArrayPicture picture(File file) throws ModelException {
        try {
            BufferedImage image = file.length() == 0 ? null : ImageIO.read(file);
            if (image == null) {
                throw new ModelException(file.getName() + " is empty or not a picture");
            }
            int width = image.getWidth();
            int height = image.getHeight();
            return new ArrayPicture(image.getRGB(0, 0, width, height, null, 0, width), width, height);
        } catch (IOException error) {
            throw new ModelException(file.getName() + " cannot be read: " + error.getMessage(), error);
        }
    }

    private static void write(File file, ArrayPicture picture) throws IOException {
        BufferedImage image = new BufferedImage(picture.width(), picture.height(), BufferedImage.TYPE_INT_RGB);
        image.setRGB(0, 0, picture.width(), picture.height(), picture.argb, 0, picture.width());
        ImageIO.write(image, "png", file);
    }

    private static float[] floats(Path path) throws IOException {
        byte[] bytes = Files.readAllBytes(path);
        float[] values = new float[bytes.length / 4];
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values);
        return values;
    }

    private static void write(Path path, float[] values) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        Files.write(path, bytes.array());
    }
}
