package org.edgegan.core;

/** Pictures of any size through one model: scaled, or covered with overlapping tiles that are blended. */
public final class Translator {
    /** Receives finished rows of a tiled picture from top to bottom, packed ARGB. */
    public interface RowSink {
        void rows(int top, int count, int[] argb);
    }

    /** Hears of progress and may stop the work. */
    public interface Progress {
        /** Returns false to stop. */
        boolean step(int done, int total);
    }

    private final Runner runner;
    private final TensorInfo in;
    private final TensorInfo out;
    private final float[] input;
    private final float[] output;
    /** Nanoseconds of the last run, read-back included; of all tiles when tiled. */
    public long runNanos;

    public Translator(Runner runner, ModelCard card) {
        this.runner = runner;
        this.in = card.input;
        this.out = card.output;
        this.input = new float[in.count()];
        this.output = new float[out.count()];
    }

    /** A picture of exactly the model's size. */
    public ArrayPicture once(ArrayPicture picture) throws ModelException {
        if (picture.width() != in.width || picture.height() != in.height) {
            throw new ModelException("the model takes " + in.width + "x" + in.height + ", the picture is "
                    + picture.width() + "x" + picture.height());
        }
        Tensors.toTensor(picture.argb, picture.argb.length, in, input);
        long began = System.nanoTime();
        runner.run(input, output);
        runNanos = System.nanoTime() - began;
        int[] argb = new int[picture.argb.length];
        Tensors.toPixels(output, argb.length, out, argb, 0);
        return new ArrayPicture(argb, in.width, in.height);
    }

    /** Scales to the model's size, runs, scales back: the whole picture at once, fine detail lost. */
    public ArrayPicture resized(ArrayPicture picture) throws ModelException {
        ArrayPicture made = once(Resampler.resize(picture, in.width, in.height));
        return Resampler.resize(made, picture.width(), picture.height());
    }

    /** Scales to fit inside the model's size, fills up by reflection, runs, cuts and scales back. */
    public ArrayPicture padded(ArrayPicture picture) throws ModelException {
        double scale = Math.min((double) in.width / picture.width(), (double) in.height / picture.height());
        int wide = Math.max(1, Math.min(in.width, (int) Math.rint(picture.width() * scale)));
        int high = Math.max(1, Math.min(in.height, (int) Math.rint(picture.height() * scale)));
        ArrayPicture small = Resampler.resize(picture, wide, high);
        int[] filled = new int[in.width * in.height];
        readReflected(small, 0, 0, in.width, in.height, filled);
        int[] cut = new int[wide * high];
        once(new ArrayPicture(filled, in.width, in.height)).read(0, 0, wide, high, cut);
        return Resampler.resize(new ArrayPicture(cut, wide, high), picture.width(), picture.height());
    }

    /** The middle of the picture in the model's aspect ratio, scaled to the model's size: before and after. */
    public ArrayPicture[] cropped(ArrayPicture picture) throws ModelException {
        ArrayPicture before = Resampler.resize(picture.centreCrop(in.width, in.height), in.width, in.height);
        return new ArrayPicture[] {before, once(before)};
    }

    /** Tiles a picture that is in memory. */
    public ArrayPicture tiled(ArrayPicture picture, Progress progress) throws ModelException {
        final int width = picture.width();
        final int[] argb = new int[picture.argb.length];
        tiled(picture, new RowSink() {
            @Override
            public void rows(int top, int count, int[] rows) {
                System.arraycopy(rows, 0, argb, top * width, count * width);
            }
        }, progress);
        return new ArrayPicture(argb, width, picture.height());
    }

    /**
     * Tiles a picture of any size. Memory is one band: the model's height times the picture's width.
     *
     * <p>Raises ModelException when `progress` stops the work.
     */
    public void tiled(Picture picture, RowSink sink, Progress progress) throws ModelException {
        int width = Math.max(picture.width(), in.width);
        int height = Math.max(picture.height(), in.height);
        int[] tops = Tiling.starts(height, in.height);
        int[] lefts = Tiling.starts(width, in.width);
        Band band = new Band(width, in, out);
        int[] tile = new int[in.width * in.height];
        long total = 0;
        for (int row = 0; row < tops.length; row++) {
            for (int column = 0; column < lefts.length; column++) {
                if (progress != null && !progress.step(row * lefts.length + column, tops.length * lefts.length)) {
                    throw new ModelException("stopped");
                }
                readReflected(picture, lefts[column], tops[row], in.width, in.height, tile);
                Tensors.toTensor(tile, tile.length, in, input);
                long began = System.nanoTime();
                runner.run(input, output);
                total += System.nanoTime() - began;
                band.add(lefts[column], output);
            }
            int ready = row + 1 < tops.length ? tops[row + 1] - tops[row] : in.height;
            band.emit(tops[row], ready, picture.width(), picture.height(), sink);
        }
        runNanos = total;
    }

    /** Reads a rectangle that may reach beyond the right and bottom, where the picture goes on by reflection. */
    static void readReflected(Picture picture, int left, int top, int width, int height, int[] out) {
        int wide = Math.min(width, picture.width() - left);
        int high = Math.min(height, picture.height() - top);
        if (wide == width && high == height) {
            picture.read(left, top, width, height, out);
            return;
        }
        // A picture smaller than a tile on this side: the tile begins at 0 there.
        int[] inside = new int[wide * high];
        picture.read(left, top, wide, high, inside);
        for (int y = 0; y < height; y++) {
            int from = Tiling.reflect(y, high) * wide;
            for (int x = 0; x < width; x++) {
                out[y * width + x] = inside[from + Tiling.reflect(x, wide)];
            }
        }
    }
}
