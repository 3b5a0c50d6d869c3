package org.edgegan.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import java.util.Map;
import org.junit.Test;

public class StatisticsTest {
    @Test
    public void percentilesLieBetweenNeighbours() {
        double[] values = {4, 1, 3, 2};
        assertEquals(2.5, Statistics.median(values), 0);
        assertEquals(3.7, Statistics.percentile(values, 90), 1e-12);
        assertEquals(1, Statistics.percentile(values, 0), 0);
        assertEquals(4, values[0], 0);
    }

    @Test
    public void driftComparesThirds() {
        assertEquals(1.2, Statistics.drift(new double[] {10, 10, 11, 11, 12, 12}), 1e-12);
        assertFalse(Statistics.steady(new double[] {10, 10, 11, 11, 12, 12}));
        assertTrue(Statistics.steady(new double[] {10, 10, 50, 50, 10.4, 10.4}));
    }

    @Test
    public void theIntervalHoldsTheMedian() {
        double[] values = {1, 2, 3, 4, 5, 6, 7, 8, 9};
        double[] interval = Statistics.medianInterval(values);
        assertTrue(interval[0] <= 5 && 5 <= interval[1] && interval[0] < interval[1]);
    }

    @Test
    public void theMovingMedianForgets() {
        Statistics.Moving moving = new Statistics.Moving(3);
        assertEquals(9, moving.add(9), 0);
        assertEquals(5, moving.add(1), 0);
        assertEquals(2, moving.add(2), 0);
        assertEquals(2, moving.add(3), 0);
    }

    @Test
    public void theRecordHoldsWhatWasMeasured() throws Exception {
        Benchmark made = new Benchmark(new TestBundle.Negative(), new float[12], 12, 9, null);
        assertEquals(9, made.samplesMs.length);
        ModelCard card = ModelCard.read(new TestBundle().json(2, 2), "test");
        Benchmark.Device device = new Benchmark.Device();
        device.environment.put("processor", "p");
        Map<?, ?> record = (Map<?, ?>) Json.parse(made.record(card, device));
        assertEquals("student_fp32.tflite", record.get("artefact"));
        assertEquals(11.0, record.get("macs"));
        assertEquals(card.sha256, record.get("sha256"));
    }
}
