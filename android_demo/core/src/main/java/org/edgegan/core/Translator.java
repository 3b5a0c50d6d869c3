package org.edgegan.core;

import java.util.Locale;

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

    /** Pixels of the largest picture that an enlarging model makes in memory. */
    public static final int MOST_PIXELS = 16_000_000;

    private final Runner runner;
    private final ModelCard card;
    private final TensorInfo in;
    private final TensorInfo out;
    private final float[] input;
    private final float[] output;
    /** Nanoseconds of the last run, read-back included; of all tiles when tiled. */
    public long runNanos;

    public Translator(Runner runner, ModelCard card) {
        this.runner = runner;
        this.card = card;
        this.in = card.input;
        this.out = card.output;
        this.input = new float[in.count()];
        this.output = new float[out.count()];
    }

    /** Raises ModelException where the model would enlarge the picture to more than MOST_PIXELS. */
    private void checkResult(Picture picture) throws ModelException {
        long width = card.enlarged(picture.width());
        long height = card.enlarged(picture.height());
        if (card.enlarges > card.reduces && width * height > MOST_PIXELS) {
            throw new ModelException(String.format(Locale.ROOT,
                    "a picture of %dx%d becomes one of %dx%d, more than %,d pixels; choose a smaller one",
                    picture.width(), picture.height(), width, height, MOST_PIXELS));
        }
    }

    private ArrayPicture scaleResult(ArrayPicture made, ArrayPicture picture) {
        return Resampler.resize(made, card.enlarged(picture.width()), card.enlarged(picture.height()));
    }

    /** A picture of exactly the model's size; what comes out has the size of its output. */
    public ArrayPicture once(ArrayPicture picture) throws ModelException {
        if (picture.width() != in.width || picture.height() != in.height) {
            throw new ModelException("the model takes " + in.width + "x" + in.height + ", the picture is "
                    + picture.width() + "x" + picture.height());
        }
        Tensors.toTensor(picture.argb, picture.argb.length, in, input);
        long began = System.nanoTime();
        runner.run(input, output);
        runNanos = System.nanoTime() - began;
        int[] argb = new int[out.width * out.height];
        Tensors.toPixels(output, argb.length, out, argb, 0);
        return new ArrayPicture(argb, out.width, out.height);
    }

    /** Scales to the model's size, runs, scales back: the whole picture at once, fine detail lost. */
    public ArrayPicture resized(ArrayPicture picture) throws ModelException {
        checkResult(picture);
        return scaleResult(once(Resampler.resize(picture, in.width, in.height)), picture);
    }

    /** Scales to fit inside the model's size, fills up by reflection, runs, cuts and scales back. */
    public ArrayPicture padded(ArrayPicture picture) throws ModelException {
        checkResult(picture);
        double scale = Math.min((double) in.width / picture.width(), (double) in.height / picture.height());
        int wide = Math.max(1, Math.min(in.width, (int) Math.rint(picture.width() * scale)));
        int high = Math.max(1, Math.min(in.height, (int) Math.rint(picture.height() * scale)));
        ArrayPicture small = Resampler.resize(picture, wide, high);
        int[] filled = new int[in.width * in.height];
        readReflected(small, 0, 0, in.width, in.height, filled);
        wide = card.enlarged(wide);
        high = card.enlarged(high);
        int[] cut = new int[wide * high];
        once(new ArrayPicture(filled, in.width, in.height)).read(0, 0, wide, high, cut);
        return scaleResult(new ArrayPicture(cut, wide, high), picture);
    }

    /** The middle of the picture in the model's aspect ratio, scaled to the model's size: before and after, which may be larger. */
    public ArrayPicture[] cropped(ArrayPicture picture) throws ModelException {
        ArrayPicture before = Resampler.resize(picture.centreCrop(in.width, in.height), in.width, in.height);
        return new ArrayPicture[] {before, once(before)};
    }

    /** Tiles a picture that is in memory. */
    public ArrayPicture tiled(ArrayPicture picture, Progress progress) throws ModelException {
        checkResult(picture);
        final int width = card.enlarged(picture.width());
        int height = card.enlarged(picture.height());
        final int[] argb = new int[width * height];
        tiled(picture, new RowSink() {
            @Override
            public void rows(int top, int count, int[] rows) {
                System.arraycopy(rows, 0, argb, top * width, count * width);
            }
        }, progress);
        return new ArrayPicture(argb, width, height);
    }

    /**
     * Tiles a picture of any size. Memory is one band: the height of the model's output times the result's width.
     *
     * <p>Raises ModelException when `progress` stops the work.
     */
    public void tiled(Picture picture, RowSink sink, Progress progress) throws ModelException {
        int height = card.enlarged(picture.height());
        int[] tops = Tiling.starts(picture.height(), in.height, card.reduces);
        int[] lefts = Tiling.starts(picture.width(), in.width, card.reduces);
        Band band = new Band(card.enlarged(picture.width()), height, out);
        int[] tile = new int[in.width * in.height];
        long total = 0;
        for (int row = 0; row < tops.length; row++) {
            int top = card.enlarged(tops[row]);
            for (int column = 0; column < lefts.length; column++) {
                if (progress != null && !progress.step(row * lefts.length + column, tops.length * lefts.length)) {
                    throw new ModelException("stopped");
                }
                readReflected(picture, lefts[column], tops[row], in.width, in.height, tile);
                Tensors.toTensor(tile, tile.length, in, input);
                long began = System.nanoTime();
                runner.run(input, output);
                total += System.nanoTime() - began;
                band.add(card.enlarged(lefts[column]), top, output);
            }
            band.emit(top, row + 1 < tops.length ? card.enlarged(tops[row + 1]) : height, sink);
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
        // The tile goes on by reflection of its own inside: at 0 in a picture smaller than it, or at its far end.
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
