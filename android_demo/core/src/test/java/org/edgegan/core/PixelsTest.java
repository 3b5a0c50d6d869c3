package org.edgegan.core;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.nio.ByteBuffer;
import java.util.Random;
import org.junit.Test;

public class PixelsTest {
    private static final TensorInfo RGB = new TensorInfo("x", 1, 2, TensorInfo.Colour.RGB, -1f, 1f);

    private static int grey(int level) {
        return 0xFF000000 | level * 0x010101;
    }

    @Test
    public void levelsBecomeTheRange() {
        float[] out = new float[6];
        Tensors.toTensor(new int[] {0xFF0000FF, 0xFFFF8000}, 2, RGB, out);
        assertArrayEquals(new float[] {-1f, -1f, 1f, 1f, 128 / 127.5f - 1f, -1f}, out, 0f);
        TensorInfo bgr = new TensorInfo("x", 1, 2, TensorInfo.Colour.BGR, 0f, 255f);
        Tensors.toTensor(new int[] {0xFF010203, 0xFF040506}, 2, bgr, out);
        assertArrayEquals(new float[] {3, 2, 1, 6, 5, 4}, out, 0f);
        int[] back = new int[2];
        Tensors.toPixels(out, 2, bgr, back, 0);
        assertArrayEquals(new int[] {0xFF010203, 0xFF040506}, back);
    }

    @Test
    public void everyLevelComesBack() {
        float[] tensor = new float[3];
        int[] back = new int[1];
        for (int level = 0; level < 256; level++) {
            Tensors.toTensor(new int[] {grey(level)}, 1, RGB, tensor);
            Tensors.toPixels(tensor, 1, RGB, back, 0);
            assertEquals(grey(level), back[0]);
        }
    }

    @Test
    public void resultsAreRoundedToEvenAndClipped() {
        TensorInfo raw = new TensorInfo("x", 1, 2, TensorInfo.Colour.RGB, 0f, 255f);
        int[] back = new int[2];
        Tensors.toPixels(new float[] {0.5f, 1.5f, 2.5f, -9f, 300f, Float.NaN}, 2, raw, back, 0);
        assertArrayEquals(new int[] {0xFF000202, 0xFF00FF00}, back);
    }

    @Test
    public void halvingAverages() {
        ArrayPicture made = Resampler.resize(new ArrayPicture(new int[] {grey(0), grey(100)}, 2, 1), 1, 1);
        assertEquals(grey(50), made.argb[0]);
    }

    @Test
    public void doublingStandsOnHalfPixels() {
        ArrayPicture made = Resampler.resize(new ArrayPicture(new int[] {grey(0), grey(200)}, 2, 1), 4, 1);
        assertArrayEquals(new int[] {grey(0), grey(50), grey(150), grey(200)}, made.argb);
    }

    @Test
    public void turningFourTimesIsNothing() {
        ArrayPicture picture = new ArrayPicture(new int[] {1, 2, 3, 4, 5, 6}, 3, 2);
        ArrayPicture quarter = picture.turn(90, false);
        assertArrayEquals(new int[] {4, 1, 5, 2, 6, 3}, quarter.argb);
        assertArrayEquals(picture.turn(180, false).argb, quarter.turn(90, false).argb);
        assertArrayEquals(picture.argb, quarter.turn(270, false).argb);
        assertArrayEquals(new int[] {3, 2, 1, 6, 5, 4}, picture.turn(0, true).argb);
    }

    @Test
    public void cropsTheMiddle() {
        ArrayPicture picture = new ArrayPicture(new int[] {1, 2, 3, 4, 5, 6}, 3, 2);
        ArrayPicture square = picture.centreCrop(1, 1);
        assertArrayEquals(new int[] {1, 2, 4, 5}, square.argb);
        assertEquals(1, picture.centreCrop(9, 1).height());
    }

    @Test
    public void aPictureWithoutPixelsIsRefused() {
        try {
            new ArrayPicture(new int[0], 0, 0);
            fail("accepted");
        } catch (IllegalArgumentException error) {
            assertTrue(error.getMessage().contains("0x0"));
        }
    }

    @Test
    public void cameraColoursAndRotation() {
        ByteBuffer luma = ByteBuffer.wrap(new byte[] {(byte) 76, (byte) 76, 0, (byte) 76, (byte) 76, 0});
        ByteBuffer blue = ByteBuffer.wrap(new byte[] {85, 0, 85});
        ByteBuffer red = ByteBuffer.wrap(new byte[] {(byte) 255, 0, (byte) 255});
        ArrayPicture frame = CameraFrame.toPicture(2, 2, luma, 3, 1, blue, red, 2, 2);
        assertEquals(0xFFFE0000, frame.argb[0]);
        assertEquals(90, CameraFrame.rotation(90, 0, false));
        assertEquals(0, CameraFrame.rotation(90, 90, false));
        assertEquals(180, CameraFrame.rotation(90, 270, false));
        assertEquals(0, CameraFrame.rotation(270, 90, true));
    }

    @Test
    public void differencesInDecibel() {
        ArrayPicture a = new ArrayPicture(new int[] {grey(10)}, 1, 1);
        assertEquals(20 * Math.log10(255 / 5.0), Comparison.psnrDb(a, new ArrayPicture(new int[] {grey(15)}, 1, 1)), 1e-9);
        assertTrue(Double.isInfinite(Comparison.psnrDb(a, a)));
        assertTrue(Comparison.bitEqual(new float[] {1f}, new float[] {1f}));
        assertEquals(0.75, Comparison.meanAbs(new float[] {1, 2}, new float[] {1.5f, 1}), 0);
        assertEquals(1.0, Comparison.maxAbs(new float[] {1, 2}, new float[] {1.5f, 1}), 0);
    }

    @Test
    public void randomPicturesSurviveEqualSize() {
        Random chance = new Random(1);
        int[] argb = new int[35];
        for (int i = 0; i < argb.length; i++) {
            argb[i] = chance.nextInt() | 0xFF000000;
        }
        assertArrayEquals(argb, Resampler.resize(new ArrayPicture(argb, 7, 5), 7, 5).argb);
    }
}
