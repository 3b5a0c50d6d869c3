package org.edgegan.core;

/**
 * Bilinear scaling with half-pixel centres; when shrinking the triangle widens, so that nothing aliases.
 *
 * <p>The arithmetic is that of Pillow's BILINEAR on 8-bit pictures: weights in double, rounded to 22 fractional bits,
 * width first, then height, each pass rounded to 8 bits. Equal bit for bit to edgegan's resize_image(bilinear=True).
 */
public final class Resampler {
    private static final int FRACTION_BITS = 22;

    private Resampler() {}

    /** Scales packed ARGB to width x height; alpha becomes opaque. */
    public static ArrayPicture resize(ArrayPicture source, int width, int height) {
        if (width < 1 || height < 1) {
            throw new IllegalArgumentException("cannot scale to " + width + "x" + height);
        }
        int[] pixels = source.argb;
        if (width != source.width()) {
            pixels = alongRows(pixels, source.width(), source.height(), new Weights(source.width(), width));
        }
        if (height != source.height()) {
            pixels = alongColumns(pixels, width, new Weights(source.height(), height));
        }
        return new ArrayPicture(pixels == source.argb ? pixels.clone() : pixels, width, height);
    }

    /** For each output position: the first input position, how many there are, and their weights. */
    private static final class Weights {
        final int[] first;
        final int[][] weights;

        Weights(int inSize, int outSize) {
            first = new int[outSize];
            weights = new int[outSize][];
            double scale = (double) inSize / outSize;
            double support = Math.max(1.0, scale);
            double inverse = 1.0 / support;
            for (int i = 0; i < outSize; i++) {
                double centre = (i + 0.5) * scale;
                int from = Math.max(0, (int) (centre - support + 0.5));
                int to = Math.min(inSize, (int) (centre + support + 0.5));
                first[i] = from;
                weights[i] = normalised(from, to, centre, inverse);
            }
        }

        private static int[] normalised(int from, int to, double centre, double inverse) {
            double[] raw = new double[to - from];
            double sum = 0.0;
            for (int x = 0; x < raw.length; x++) {
                double distance = Math.abs((x + from - centre + 0.5) * inverse);
                raw[x] = distance < 1.0 ? 1.0 - distance : 0.0;
                sum += raw[x];
            }
            int[] out = new int[raw.length];
            for (int x = 0; x < raw.length; x++) {
                double weight = sum != 0.0 ? raw[x] / sum : raw[x];
                out[x] = (int) (0.5 + weight * (1 << FRACTION_BITS));
            }
            return out;
        }
    }

    private static int[] alongRows(int[] pixels, int inWidth, int rows, Weights plan) {
        int outWidth = plan.first.length;
        int[] out = new int[outWidth * rows];
        for (int y = 0; y < rows; y++) {
            for (int x = 0; x < outWidth; x++) {
                out[y * outWidth + x] = mix(pixels, y * inWidth + plan.first[x], 1, plan.weights[x]);
            }
        }
        return out;
    }

    private static int[] alongColumns(int[] pixels, int width, Weights plan) {
        int outHeight = plan.first.length;
        int[] out = new int[width * outHeight];
        for (int y = 0; y < outHeight; y++) {
            for (int x = 0; x < width; x++) {
                out[y * width + x] = mix(pixels, plan.first[y] * width + x, width, plan.weights[y]);
            }
        }
        return out;
    }

    private static int mix(int[] pixels, int start, int step, int[] weights) {
        int red = 1 << (FRACTION_BITS - 1);
        int green = red;
        int blue = red;
        int index = start;
        for (int weight : weights) {
            int pixel = pixels[index];
            red += ((pixel >> 16) & 255) * weight;
            green += ((pixel >> 8) & 255) * weight;
            blue += (pixel & 255) * weight;
            index += step;
        }
        return 0xFF000000 | clip(red) << 16 | clip(green) << 8 | clip(blue);
    }

    private static int clip(int sum) {
        return Math.max(0, Math.min(255, sum >> FRACTION_BITS));
    }
}
