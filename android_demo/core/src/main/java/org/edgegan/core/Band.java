package org.edgegan.core;

import java.util.Arrays;

/** Weighted sums of the tiles in one row of tiles; rows that no later tile reaches are turned into pixels. */
final class Band {
    private final int width;
    private final TensorInfo out;
    private final float[] total;
    private final float[] weights;
    private final float[] rampX;
    private final float[] rampY;

    Band(int width, TensorInfo in, TensorInfo out) {
        this.width = width;
        this.out = out;
        total = new float[width * in.height * out.channels];
        weights = new float[width * in.height];
        rampX = Tiling.ramp(in.width);
        rampY = Tiling.ramp(in.height);
    }

    /** Adds one tile's output at this column. */
    void add(int left, float[] tile) {
        int channels = out.channels;
        for (int y = 0; y < rampY.length; y++) {
            for (int x = 0; x < rampX.length; x++) {
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

    /** Gives the first `ready` rows to the sink, as far as they lie in the picture, and moves the rest up. */
    void emit(int top, int ready, int pictureWidth, int pictureHeight, Translator.RowSink sink) {
        int channels = out.channels;
        int count = Math.min(ready, pictureHeight - top);
        if (count > 0) {
            float[] row = new float[pictureWidth * channels];
            int[] argb = new int[pictureWidth * count];
            for (int y = 0; y < count; y++) {
                for (int x = 0; x < pictureWidth; x++) {
                    for (int c = 0; c < channels; c++) {
                        row[x * channels + c] = total[(y * width + x) * channels + c] / weights[y * width + x];
                    }
                }
                Tensors.toPixels(row, pictureWidth, out, argb, y * pictureWidth);
            }
            sink.rows(top, count, argb);
        }
        shift(total, ready * width * channels);
        shift(weights, ready * width);
    }

    private static void shift(float[] values, int count) {
        System.arraycopy(values, count, values, 0, values.length - count);
        Arrays.fill(values, values.length - count, values.length, 0f);
    }
}
