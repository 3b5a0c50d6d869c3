package org.edgegan.core;

/** How far two results are apart. */
public final class Comparison {
    private Comparison() {}

    /** Mean of |a - b|; NaN when a value is. Raises IllegalArgumentException for unequal lengths. */
    public static double meanAbs(float[] a, float[] b) {
        requireEqualLengths(a.length, b.length);
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += Math.abs((double) a[i] - b[i]);
        }
        return sum / a.length;
    }

    /** Largest |a - b|; NaN when a value is. */
    public static double maxAbs(float[] a, float[] b) {
        requireEqualLengths(a.length, b.length);
        double most = 0;
        for (int i = 0; i < a.length; i++) {
            most = Math.max(most, Math.abs((double) a[i] - b[i]));
        }
        return most;
    }

    public static boolean bitEqual(float[] a, float[] b) {
        return java.util.Arrays.equals(a, b);
    }

    /** PSNR of two pictures of one size in dB, peak 255, over the three colours; infinite when equal. */
    public static double psnrDb(ArrayPicture a, ArrayPicture b) {
        requireEqualLengths(a.argb.length, b.argb.length);
        double squares = 0;
        for (int i = 0; i < a.argb.length; i++) {
            for (int shift = 0; shift <= 16; shift += 8) {
                int difference = ((a.argb[i] >> shift) & 255) - ((b.argb[i] >> shift) & 255);
                squares += difference * difference;
            }
        }
        double mean = squares / (3.0 * a.argb.length);
        return mean == 0 ? Double.POSITIVE_INFINITY : 10 * Math.log10(255 * 255 / mean);
    }

    private static void requireEqualLengths(int a, int b) {
        if (a != b || a == 0) {
            throw new IllegalArgumentException("cannot compare " + a + " values with " + b);
        }
    }
}
