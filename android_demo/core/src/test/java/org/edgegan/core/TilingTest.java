package org.edgegan.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import org.junit.Test;

public class TilingTest {
    /** A runtime that returns its input. */
    private static final Runner COPY = new Runner() {
        @Override
        public void run(float[] input, float[] output) {
            System.arraycopy(input, 0, output, 0, input.length);
        }

        @Override
        public String backend() {
            return "test";
        }

        @Override
        public void close() {}
    };

    private static ModelCard card(int width, int height) throws Exception {
        return ModelCard.read(new TestBundle().json(width, height), "test");
    }

    @Test
    public void tilesCoverAndOverlap() {
        assertArrayEquals(new int[] {0}, Tiling.starts(50, 64, 1));
        assertArrayEquals(new int[] {0, 36}, Tiling.starts(100, 64, 1));
        assertArrayEquals(new int[] {0, 45, 91, 136}, Tiling.starts(200, 64, 1));
        assertArrayEquals(new int[] {0, 44, 90, 136}, Tiling.starts(200, 64, 2));
        assertArrayEquals(new int[] {0, 44, 88, 136}, Tiling.starts(199, 64, 4));
        assertArrayEquals(new float[] {0.5f, 1f, 1f, 1f, 1f, 1f, 1f, 0.5f}, Tiling.ramp(8), 0f);
    }

    @Test
    public void reflectionRepeats() {
        int[] places = new int[8];
        for (int i = 0; i < 8; i++) {
            places[i] = Tiling.reflect(i, 3);
        }
        assertArrayEquals(new int[] {0, 1, 2, 1, 0, 1, 2, 1}, places);
        assertEquals(0, Tiling.reflect(5, 1));
    }

    @Test
    public void aModelThatCopiesLeavesEveryPictureAsItWas() throws Exception {
        int[][] sizes = {{1, 1}, {3, 40}, {16, 16}, {17, 15}, {61, 33}, {100, 7}};
        for (int[] size : sizes) {
            int[] argb = new int[size[0] * size[1]];
            for (int i = 0; i < argb.length; i++) {
                argb[i] = 0xFF000000 | i * 7919 & 0xFFFFFF;
            }
            ArrayPicture picture = new ArrayPicture(argb, size[0], size[1]);
            Translator translator = new Translator(COPY, card(16, 16));
            assertArrayEquals(argb, translator.tiled(picture, null).argb);
            assertEquals(size[0], translator.padded(picture).width());
            assertEquals(16, translator.cropped(picture)[1].height());
        }
    }

    /** A runtime that repeats each pixel, or takes the first of each square, by nearest places. */
    private static Runner nearest(final int side, final int outSide) {
        return new Runner() {
            @Override
            public void run(float[] input, float[] output) {
                for (int i = 0; i < output.length; i++) {
                    int y = i / 3 / outSide * side / outSide;
                    int x = i / 3 % outSide * side / outSide;
                    output[i] = input[(y * side + x) * 3 + i % 3];
                }
            }

            @Override
            public String backend() {
                return "test";
            }

            @Override
            public void close() {}
        };
    }

    @Test
    public void aModelThatEnlargesOrReducesMakesEveryPictureSo() throws Exception {
        int[][] ratios = {{4, 1}, {2, 1}, {3, 2}, {1, 2}, {1, 4}};
        int[][] sizes = {{1, 1}, {3, 40}, {16, 16}, {17, 15}, {61, 33}, {101, 7}};
        for (int[] ratio : ratios) {
            int outSide = 16 * ratio[0] / ratio[1];
            String more = "\"enlarges\": [" + ratio[0] + ", " + ratio[1] + "], ";
            ModelCard card = ModelCard.read(new TestBundle().json(16, 16, outSide, outSide, more), "test");
            Translator translator = new Translator(nearest(16, outSide), card);
            for (int[] size : sizes) {
                int[] argb = new int[size[0] * size[1]];
                for (int i = 0; i < argb.length; i++) {
                    argb[i] = 0xFF000000 | i * 7919 & 0xFFFFFF;
                }
                ArrayPicture picture = new ArrayPicture(argb, size[0], size[1]);
                ArrayPicture made = translator.tiled(picture, (Translator.Progress) null);
                assertEquals((size[0] * ratio[0] + ratio[1] - 1) / ratio[1], made.width());
                assertEquals((size[1] * ratio[0] + ratio[1] - 1) / ratio[1], made.height());
                for (int y = 0; y < made.height(); y++) {
                    for (int x = 0; x < made.width(); x++) {
                        int wanted = argb[y * ratio[1] / ratio[0] * size[0] + x * ratio[1] / ratio[0]];
                        assertEquals(wanted, made.argb[y * made.width() + x]);
                    }
                }
                assertEquals(made.width(), translator.resized(picture).width());
                assertEquals(made.height(), translator.padded(picture).height());
                assertEquals(outSide, translator.cropped(picture)[1].width());
                assertEquals(16, translator.cropped(picture)[0].width());
            }
        }
    }

    @Test
    public void aResultBeyondMemoryIsRefused() throws Exception {
        ModelCard card = ModelCard.read(new TestBundle().json(16, 16, 64, 64, "\"enlarges\": [4, 1], "), "test");
        Translator translator = new Translator(nearest(16, 64), card);
        ArrayPicture picture = new ArrayPicture(new int[1001 * 1000], 1001, 1000);
        String[] modes = {"tiled", "resized", "padded"};
        for (String mode : modes) {
            try {
                if (mode.equals("tiled")) {
                    translator.tiled(picture, (Translator.Progress) null);
                } else if (mode.equals("resized")) {
                    translator.resized(picture);
                } else {
                    translator.padded(picture);
                }
                fail(mode + " accepted");
            } catch (ModelException error) {
                assertEquals("a picture of 1001x1000 becomes one of 4004x4000, more than 16,000,000 pixels;"
                        + " choose a smaller one", error.getMessage());
            }
        }
        assertEquals(64, translator.cropped(picture)[1].width());
    }

    @Test
    public void stoppingIsHeard() throws Exception {
        try {
            new Translator(COPY, card(16, 16)).tiled(new ArrayPicture(new int[4096], 64, 64),
                    new Translator.Progress() {
                        @Override
                        public boolean step(int done, int total) {
                            assertEquals(25, total);
                            return done < 3;
                        }
                    });
            fail("went on");
        } catch (ModelException error) {
            assertEquals("stopped", error.getMessage());
        }
    }

    /** 12,000 x 9,000 pixels would be 432 MB as ARGB; this test runs in a heap of 128 MB. */
    @Test
    public void aHugePictureNeedsOneBandOfMemory() throws Exception {
        assertTrue("run with -Xmx128m", Runtime.getRuntime().maxMemory() <= 128L << 20);
        final long[] wrong = new long[2];
        new Translator(COPY, card(256, 256)).tiled(new Picture() {
            @Override
            public int width() {
                return 12000;
            }

            @Override
            public int height() {
                return 9000;
            }

            @Override
            public void read(int left, int top, int width, int height, int[] out) {
                for (int y = 0; y < height; y++) {
                    for (int x = 0; x < width; x++) {
                        out[y * width + x] = 0xFF000000 | (left + x) * 3 ^ (top + y) * 5;
                    }
                }
            }
        }, new Translator.RowSink() {
            @Override
            public void rows(int top, int count, int[] argb) {
                for (int i = 0; i < argb.length; i++) {
                    int wanted = 0xFF000000 | i % 12000 * 3 ^ (top + i / 12000) * 5;
                    wrong[0] += argb[i] == wanted ? 0 : 1;
                }
                wrong[1] += count;
            }
        }, null);
        assertEquals(0, wrong[0]);
        assertEquals(9000, wrong[1]);
    }
}
