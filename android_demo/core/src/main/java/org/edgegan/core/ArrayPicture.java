package org.edgegan.core;

/** A picture whose pixels are in memory, packed ARGB row by row. */
public final class ArrayPicture extends SizedPicture {
    public final int[] argb;

    /** Raises IllegalArgumentException unless `argb` has width x height pixels, at least one. */
    public ArrayPicture(int[] argb, int width, int height) {
        super(width, height);
        if (width < 1 || height < 1 || argb.length != (long) width * height) {
            throw new IllegalArgumentException(
                    "a picture of " + width + "x" + height + " cannot have " + argb.length + " pixels");
        }
        this.argb = argb;
    }

    @Override
    public void read(int left, int top, int wide, int high, int[] out) {
        for (int y = 0; y < high; y++) {
            System.arraycopy(argb, (top + y) * width + left, out, y * wide, wide);
        }
    }

    /** The middle of the picture with the aspect ratio width to height, as large as fits. */
    public ArrayPicture centreCrop(int aspectWidth, int aspectHeight) {
        long wide = Math.min(width, (long) height * aspectWidth / aspectHeight);
        long high = Math.min(height, (long) width * aspectHeight / aspectWidth);
        int cutWidth = (int) Math.max(1, wide);
        int cutHeight = (int) Math.max(1, high);
        int[] out = new int[cutWidth * cutHeight];
        read((width - cutWidth) / 2, (height - cutHeight) / 2, cutWidth, cutHeight, out);
        return new ArrayPicture(out, cutWidth, cutHeight);
    }

    /** Turned clockwise by 0, 90, 180 or 270 degrees, then mirrored left to right when asked. */
    public ArrayPicture turn(int degrees, boolean mirror) {
        boolean sideways = degrees % 180 != 0;
        int newWidth = sideways ? height : width;
        int newHeight = sideways ? width : height;
        int[] out = new int[argb.length];
        for (int y = 0; y < newHeight; y++) {
            for (int column = 0; column < newWidth; column++) {
                int x = mirror ? newWidth - 1 - column : column;
                int from;
                if (degrees == 0) {
                    from = y * width + x;
                } else if (degrees == 90) {
                    from = (height - 1 - x) * width + y;
                } else if (degrees == 180) {
                    from = (height - 1 - y) * width + width - 1 - x;
                } else if (degrees == 270) {
                    from = x * width + width - 1 - y;
                } else {
                    throw new IllegalArgumentException("cannot turn by " + degrees + " degrees");
                }
                out[y * newWidth + column] = argb[from];
            }
        }
        return new ArrayPicture(out, newWidth, newHeight);
    }
}
