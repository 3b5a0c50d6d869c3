package org.edgegan.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import org.junit.Test;

public class BundleTest {
    private static void refuses(String what, TestBundle bundle) throws Exception {
        SelfTest.Result result = bundle.selfTest();
        assertFalse(what, result.passed);
        assertTrue(what + ": " + result.message, result.message.contains(what));
    }

    @Test
    public void aSoundBundlePasses() throws Exception {
        SelfTest.Result result = new TestBundle().selfTest();
        assertTrue(result.message, result.passed);
        ModelCard card = new Bundle(new TestBundle()).card("m");
        assertEquals(12, card.input.count());
        assertEquals(12, card.macsPublished);
        assertTrue(Double.isNaN(card.psnrToTeacherDb));
        assertTrue(card.summary().contains("2x2"));
    }

    @Test
    public void aDamagedModelIsNamed() throws Exception {
        TestBundle bundle = new TestBundle();
        bundle.files.get("models/m/model.tflite")[3] ^= 1;
        refuses("is damaged", bundle);
    }

    @Test
    public void aCutOffModelIsNamed() throws Exception {
        TestBundle bundle = new TestBundle();
        bundle.files.put("models/m/model.tflite", new byte[] {1, 2, 3});
        refuses("has 3 bytes, model.json says 5", bundle);
    }

    @Test
    public void aMissingModelIsNamed() throws Exception {
        TestBundle bundle = new TestBundle();
        bundle.files.remove("models/m/model.tflite");
        refuses("model.tflite is missing", bundle);
    }

    @Test
    public void aModelOfAnotherSizeIsRefused() throws Exception {
        TestBundle bundle = new TestBundle();
        bundle.text("models/m/model.json", bundle.json(4, 2));
        refuses("in.f32 has 48 bytes, model.json says 96", bundle);
    }

    @Test
    public void aWrongGoldenOutputFails() throws Exception {
        TestBundle bundle = new TestBundle();
        byte[] other = bundle.files.get("models/m/out.f32");
        other[3] ^= 0x40;
        refuses("out.f32 is damaged", bundle);
        bundle.text("models/m/model.json", bundle.json(2, 2));
        refuses("the output is not the golden output", bundle);
    }

    @Test
    public void nanIsAFailure() throws Exception {
        TestBundle bundle = new TestBundle();
        byte[] output = bundle.files.get("models/m/out.f32");
        output[2] = (byte) 0xC0;
        output[3] = 0x7F;
        bundle.text("models/m/model.json", bundle.json(2, 2));
        refuses("the output is not the golden output", bundle);
    }

    @Test
    public void everyTruncationOfModelJsonIsOneMessage() throws Exception {
        String whole = new TestBundle().json(2, 2);
        for (int length = 0; length < whole.length(); length++) {
            try {
                ModelCard.read(whole.substring(0, length), "model.json");
                fail("accepted " + length + " characters");
            } catch (ModelException error) {
                assertTrue(error.getMessage(), error.getMessage().startsWith("model.json: line "));
            }
        }
    }

    @Test
    public void whatTheAppCannotReadIsNamed() throws Exception {
        String[][] cases = {
            {"\"layout\": \"NHWC\"", "\"layout\": \"NCHW\"", "inputs.0.layout is \"NCHW\""},
            {"\"dtype\": \"float32\"", "\"dtype\": \"uint8\"", "inputs.0.dtype is \"uint8\""},
            {"\"colour\": \"rgb\"", "\"colour\": \"other\"", "inputs.0.colour is \"other\" with 3 channels"},
            {"[1, 2, 2, 3]", "[2, 2, 2, 3]", "inputs.0.shape is not one picture"},
            {"[1, 2, 2, 3]", "[1, 2, 3]", "inputs.0.shape has 3 entries instead of 4"},
            {"[1, 2, 2, 3]", "[1, 2.5, 2, 3]", "inputs.0.shape.1 is 2.5"},
            {"[-1, 1]", "[1, 1]", "inputs.0.range must go"},
            {"\"schema_version\": 1", "\"schema_version\": 9", "schema_version is 9"},
            {"\"file\": \"model.tflite\"", "\"file\": \"../../x\"", "file \"../../x\" is not a plain file name"},
            {"\"bytes\": 5", "\"bytes\": \"5\"", "bytes is not a number"},
            {"\"bytes\": 5,", "", "bytes is missing"},
            {"\"target\": \"tflite\"", "\"target\": \"onnx\"", "target is \"onnx\""},
        };
        for (String[] row : cases) {
            TestBundle bundle = new TestBundle();
            bundle.change(row[0], row[1]);
            refuses(row[2], bundle);
        }
    }

    @Test
    public void anOutputOfAnotherSizeNeedsItsRatio() throws Exception {
        TestBundle bundle = new TestBundle();
        ModelCard twice = ModelCard.read(bundle.json(4, 2, 8, 4, "\"enlarges\": [4, 2], "), "x");
        assertEquals(2, twice.enlarges);
        assertEquals(1, twice.reduces);
        assertEquals(26, twice.enlarged(13));
        assertTrue(twice.summary().contains("4x2 to 8x4"));
        assertEquals(7, ModelCard.read(bundle.json(4, 2, 2, 1, "\"enlarges\": [1, 2], "), "x").enlarged(13));
        bundle.text("models/m/model.json", bundle.json(2, 2, 4, 4, ""));
        refuses("models/m/model.json: outputs.0.shape is 4x4 of 2x2, but enlarges is 1/1", bundle);
        bundle.text("models/m/model.json", bundle.json(2, 2, 2, 2, "\"enlarges\": [3, 1], "));
        refuses("outputs.0.shape is 2x2 of 2x2, but enlarges is 3/1", bundle);
        bundle.text("models/m/model.json", bundle.json(2, 2, 2, 2, "\"enlarges\": [0, 1], "));
        refuses("enlarges.0 is not a number from 1 to 8192", bundle);
        bundle.text("models/m/model.json", bundle.json(2, 2, 2, 2, "\"enlarges\": [1], "));
        refuses("enlarges has 1 entries instead of 2", bundle);
    }

    @Test
    public void noModelsSaysHowToBundle() throws Exception {
        TestBundle bundle = new TestBundle();
        bundle.files.clear();
        try {
            new Bundle(bundle);
            fail("accepted");
        } catch (ModelException error) {
            assertTrue(error.getMessage().contains("edgegan bundle RUN"));
        }
    }
}
