package org.edgegan.core;

/** Pixels that can be read in rectangles, so that a picture need not be in memory as a whole. */
public interface Picture {
    int width();

    int height();

    /** Copies the rectangle (left, top, width, height) as packed ARGB, row by row, to the start of `out`. */
    void read(int left, int top, int width, int height, int[] out);
}
