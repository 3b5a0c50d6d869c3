package org.edgegan.core;

/** Where tiles lie along a side and how they blend; the same figures as `edgegan run`. */
public final class Tiling {
    private static final double OVERLAP = 0.25;

    private Tiling() {}

    /** First positions of tiles, multiples of `multiple`, that cover `length` and overlap by about a quarter. */
    public static int[] starts(int length, int tile, int multiple) {
        if (length <= tile) {
            return new int[] {0};
        }
        int step = Math.max(1, (int) (tile * (1 - OVERLAP)));
        int count = (length - tile + step - 1) / step + 1;
        int[] starts = new int[count];
        for (int i = 0; i < count; i++) {
            int exact = (int) Math.rint((double) ((long) i * (length - tile)) / (count - 1));
            starts[i] = (i + 1 < count ? exact : exact + multiple - 1) / multiple * multiple;
        }
        return starts;
    }

    /** Blending weights along a tile's side: low at the ends, one in the middle, never zero. */
    public static float[] ramp(int length) {
        double edge = Math.max(1, (int) (length * OVERLAP));
        float[] weights = new float[length];
        for (int i = 0; i < length; i++) {
            weights[i] = (float) Math.min(1.0, (Math.min(i, length - 1 - i) + 1) / edge);
        }
        return weights;
    }

    /** The position inside [0, length) that `index` >= 0 falls on when the side is continued by reflection. */
    public static int reflect(int index, int length) {
        if (length == 1) {
            return 0;
        }
        int period = 2 * (length - 1);
        int place = index % period;
        return place < length ? place : period - place;
    }
}
