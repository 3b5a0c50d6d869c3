package org.edgegan.core;

import java.util.Arrays;
import java.util.Random;

/** Figures of a series of times, defined as `edgegan bench` defines them. */
public final class Statistics {
    /** The last third may differ from the first by this factor before a series is called UNSTABLE. */
    public static final double MAX_DRIFT = 1.05;

    private static final int RESAMPLES = 1000;

    private Statistics() {}

    /** The p-th percentile (0 to 100), linear between neighbours; raises IllegalArgumentException without values. */
    public static double percentile(double[] values, double p) {
        if (values.length == 0) {
            throw new IllegalArgumentException("no values");
        }
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        double place = p / 100 * (sorted.length - 1);
        int below = (int) Math.floor(place);
        int above = Math.min(sorted.length - 1, below + 1);
        return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
    }

    public static double median(double[] values) {
        return percentile(values, 50);
    }

    /** Median of the last third over median of the first third. */
    public static double drift(double[] values) {
        int third = Math.max(1, values.length / 3);
        return median(Arrays.copyOfRange(values, values.length - third, values.length))
                / median(Arrays.copyOf(values, third));
    }

    public static boolean steady(double[] values) {
        double drift = drift(values);
        return drift >= 1 / MAX_DRIFT && drift <= MAX_DRIFT;
    }

    /** The 95 % bootstrap interval of the median, from 1000 resamples with a fixed seed. */
    public static double[] medianInterval(double[] values) {
        Random chance = new Random(0);
        double[] medians = new double[RESAMPLES];
        double[] drawn = new double[values.length];
        for (int i = 0; i < RESAMPLES; i++) {
            for (int j = 0; j < drawn.length; j++) {
                drawn[j] = values[chance.nextInt(values.length)];
            }
            medians[i] = median(drawn);
        }
        return new double[] {percentile(medians, 2.5), percentile(medians, 97.5)};
    }

    /** The median of the last `capacity` values added: what a live display shows. */
    public static final class Moving {
        private final double[] ring;
        private int added;

        public Moving(int capacity) {
            ring = new double[capacity];
        }

        public double add(double value) {
            ring[added++ % ring.length] = value;
            return median(Arrays.copyOf(ring, Math.min(added, ring.length)));
        }
    }
}
