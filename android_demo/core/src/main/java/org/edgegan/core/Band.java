package org.edgegan.core;

import java.util.Arrays;

/** Weighted sums of the tiles in one row of tiles; rows that no later tile reaches are turned into pixels. */
final class Band {
    private final int width;
    private final int height;
    private final TensorInfo out;
    private final float[] total;
    private final float[] weights;
    private final float[] rampX;
    private final float[] rampY;

    /** For a picture of this width and height made of a model's outputs. */
    Band(int width, int height, TensorInfo out) {
        this.width = width;
        this.height = height;
        this.out = out;
        int band = Math.min(height, out.height);
        total = new float[width * band * out.channels];
        weights = new float[width * band];
        rampX = Tiling.ramp(out.width);
        rampY = Tiling.ramp(out.height);
    }

    /** Adds what of one tile's output lies in the picture, at this place; the band begins at `top`. */
    void add(int left, int top, float[] tile) {
        int channels = out.channels;
        int wide = Math.min(out.width, width - left);
        int tall = Math.min(out.height, height - top);
        for (int y = 0; y < tall; y++) {
            for (int x = 0; x < wide; x++) {
                float weight = rampY[y] * rampX[x];
                int place = y * width + left + x;
                weights[place] += weight;
                int from = (y * rampX.length + x) * channels;
                for (int c = 0; c < channels; c++) {
                    total[place * channels + c] += tile[from + c] * weight;
                }
            }
        }
    }

    /** Gives the rows from `top` to `end` to the sink and moves the rest up. */
    void emit(int top, int end, Translator.RowSink sink) {
        int channels = out.channels;
        int count = end - top;
        if (count > 0) {
            float[] row = new float[width * channels];
            int[] argb = new int[width * count];
            for (int y = 0; y < count; y++) {
                for (int x = 0; x < width; x++) {
                    for (int c = 0; c < channels; c++) {
                        row[x * channels + c] = total[(y * width + x) * channels + c] / weights[y * width + x];
                    }
                }
                Tensors.toPixels(row, width, out, argb, y * width);
            }
            sink.rows(top, count, argb);
        }
        shift(total, count * width * channels);
        shift(weights, count * width);
    }

    private static void shift(float[] values, int count) {
        System.arraycopy(values, count, values, 0, values.length - count);
        Arrays.fill(values, values.length - count, values.length, 0f);
    }
}
