package org.edgegan.core;

/** A picture that knows its size from the start. */
public abstract class SizedPicture implements Picture {
    final int width;
    final int height;

    protected SizedPicture(int width, int height) {
        this.width = width;
        this.height = height;
    }

    @Override
    public final int width() {
        return width;
    }

    @Override
    public final int height() {
        return height;
    }
}
