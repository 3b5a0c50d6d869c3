package org.edgegan.core;

/** One float32 NHWC image tensor of a model as model.json describes it. */
public final class TensorInfo {
    /** How the channels of a tensor are to be read. */
    public enum Colour {
        RGB,
        BGR,
        GREY
    }

    private static final int MAX_SIDE = 8192;

    public final String name;
    public final int height;
    public final int width;
    public final int channels;
    public final Colour colour;
    /** Value of black. */
    public final float low;
    /** Value of white. */
    public final float high;

    TensorInfo(String name, int height, int width, Colour colour, float low, float high) {
        this.name = name;
        this.height = height;
        this.width = width;
        this.channels = colour == Colour.GREY ? 1 : 3;
        this.colour = colour;
        this.low = low;
        this.high = high;
    }

    /** How many floats one picture has. */
    public int count() {
        return height * width * channels;
    }

    static TensorInfo read(JsonObject json) throws ModelException {
        String name = json.text("name");
        require(json, "layout", "NHWC");
        require(json, "dtype", "float32");
        if (json.has("resize")) {
            require(json, "resize", "bilinear-half-pixel");
        }
        if (json.has("kind")) {
            require(json, "kind", "image");
        }
        double[] shape = json.numbers("shape", 4);
        for (int i = 0; i < 4; i++) {
            JsonObject.whole(shape[i], json.name("shape") + "." + i);
        }
        if (shape[0] != 1 || shape[1] < 1 || shape[2] < 1 || shape[1] > MAX_SIDE || shape[2] > MAX_SIDE) {
            throw new ModelException(
                    json.name("shape") + " is not one picture of 1 to " + MAX_SIDE + " pixels a side");
        }
        Colour colour = colour(json, (int) shape[3]);
        double[] range = json.numbers("range", 2);
        if (!(range[1] > range[0])) {
            throw new ModelException(json.name("range") + " must go from a lower to a higher value");
        }
        return new TensorInfo(name, (int) shape[1], (int) shape[2], colour, (float) range[0], (float) range[1]);
    }

    private static Colour colour(JsonObject json, int channels) throws ModelException {
        String text = json.text("colour");
        Colour colour = null;
        for (Colour candidate : Colour.values()) {
            if (candidate.name().equalsIgnoreCase(text)) {
                colour = candidate;
            }
        }
        if (colour == null || channels != (colour == Colour.GREY ? 1 : 3)) {
            throw new ModelException(json.name("colour") + " is \"" + text + "\" with " + channels
                    + " channels; this app reads rgb and bgr with 3 and grey with 1");
        }
        return colour;
    }

    private static void require(JsonObject json, String key, String wanted) throws ModelException {
        String found = json.text(key);
        if (!found.equals(wanted)) {
            throw new ModelException(
                    json.name(key) + " is \"" + found + "\"; this app reads \"" + wanted + "\" only");
        }
    }
}
