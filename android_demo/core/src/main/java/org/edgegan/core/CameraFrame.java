package org.edgegan.core;

import java.nio.ByteBuffer;

/** A camera's YUV 4:2:0 frame (full-range BT.601, as phones deliver JPEG colours) to pixels, and its rotation. */
public final class CameraFrame {
    private CameraFrame() {}

    /** Clockwise degrees that bring a sensor's frame upright for a display rotated by `displayDegrees`. */
    public static int rotation(int sensorDegrees, int displayDegrees, boolean front) {
        int turn = front ? sensorDegrees + displayDegrees : sensorDegrees - displayDegrees;
        return ((turn % 360) + 360) % 360;
    }

    /** Planes with their strides to packed ARGB; the chroma planes have half the resolution, rounded up. */
    public static ArrayPicture toPicture(int width, int height, ByteBuffer luma, int lumaRow, int lumaPixel,
            ByteBuffer blue, ByteBuffer red, int chromaRow, int chromaPixel) {
        int[] argb = new int[width * height];
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int chroma = (y / 2) * chromaRow + (x / 2) * chromaPixel;
                int light = luma.get(y * lumaRow + x * lumaPixel) & 255;
                int u = (blue.get(chroma) & 255) - 128;
                int v = (red.get(chroma) & 255) - 128;
                argb[y * width + x] = 0xFF000000
                        | clip(light + (91881 * v + 32768 >> 16)) << 16
                        | clip(light - (22554 * u + 46802 * v + 32768 >> 16)) << 8
                        | clip(light + (116130 * u + 32768 >> 16));
            }
        }
        return new ArrayPicture(argb, width, height);
    }

    private static int clip(int level) {
        return Math.max(0, Math.min(255, level));
    }
}
