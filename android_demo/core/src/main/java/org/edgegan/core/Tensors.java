package org.edgegan.core;

/** Packed ARGB to a float32 NHWC tensor and back, with the rounding of edgegan's Python side. */
public final class Tensors {
    private Tensors() {}

    /** Pixels to `info`'s colour order and range. Grey is Rec. 601 luma. */
    public static void toTensor(int[] argb, int count, TensorInfo info, float[] out) {
        float scale = 255f / (info.high - info.low);
        int index = 0;
        for (int i = 0; i < count; i++) {
            float red = ((argb[i] >> 16) & 255) / scale + info.low;
            float green = ((argb[i] >> 8) & 255) / scale + info.low;
            float blue = (argb[i] & 255) / scale + info.low;
            if (info.colour == TensorInfo.Colour.GREY) {
                out[index++] = red * 0.299f + green * 0.587f + blue * 0.114f;
            } else {
                boolean rgb = info.colour == TensorInfo.Colour.RGB;
                out[index++] = rgb ? red : blue;
                out[index++] = green;
                out[index++] = rgb ? blue : red;
            }
        }
    }

    /** A tensor to opaque pixels: rounded half to even, clipped, NaN as black. Writes `count` pixels from `offset`. */
    public static void toPixels(float[] tensor, int count, TensorInfo info, int[] argb, int offset) {
        float scale = 255f / (info.high - info.low);
        boolean grey = info.channels == 1;
        for (int i = 0; i < count; i++) {
            int first = level(tensor[i * info.channels], info.low, scale);
            int second = grey ? first : level(tensor[i * 3 + 1], info.low, scale);
            int third = grey ? first : level(tensor[i * 3 + 2], info.low, scale);
            boolean rgb = info.colour != TensorInfo.Colour.BGR;
            argb[offset + i] = 0xFF000000 | (rgb ? first : third) << 16 | second << 8 | (rgb ? third : first);
        }
    }

    private static int level(float value, float low, float scale) {
        return (int) Math.max(0, Math.min(255, Math.rint((value - low) * scale)));
    }
}
