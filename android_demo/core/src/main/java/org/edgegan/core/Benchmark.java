package org.edgegan.core;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Times one loaded model and writes the record that `edgegan report` reads. */
public final class Benchmark {
    private static final int WARM_UP_RUNS = 3;
    private static final double WARM_UP_MS = 500;

    public final double firstMs;
    /** One inference each, read-back included. */
    public final double[] samplesMs;

    /** Warms up for at least three runs and half a second, then takes `runs` samples. */
    public Benchmark(Runner runner, float[] input, int outputCount, int runs, Translator.Progress progress)
            throws ModelException {
        float[] output = new float[outputCount];
        firstMs = timeMs(runner, input, output);
        double spent = firstMs;
        for (int i = 1; i < WARM_UP_RUNS || spent < WARM_UP_MS; i++) {
            spent += timeMs(runner, input, output);
        }
        samplesMs = new double[runs];
        for (int i = 0; i < runs; i++) {
            if (progress != null && !progress.step(i, runs)) {
                throw new ModelException("stopped");
            }
            samplesMs[i] = timeMs(runner, input, output);
        }
    }

    private static double timeMs(Runner runner, float[] input, float[] output) throws ModelException {
        long began = System.nanoTime();
        runner.run(input, output);
        return (System.nanoTime() - began) / 1e6;
    }

    /** The machine a record was measured on. */
    public static final class Device {
        /** Short name, also the start of the record's file name. */
        public String name = "phone";
        public String runtime = "litert";
        public String runtimeVersion = "";
        public int threads = 1;
        public double loadMs;
        public Long peakRssBytes;
        public String started = "";
        /** What describes the device and its state; "processor" and "thermal_status" among them. */
        public final Map<String, Object> environment = new LinkedHashMap<>();
    }

    /** The bench record (contract 3, schema version 1) of this series as JSON. */
    public String record(ModelCard card, Device device) {
        Map<String, Object> record = new LinkedHashMap<>();
        record.put("schema_version", 1);
        record.put("kind", "measured");
        record.put("device", device.name);
        record.put("artefact", card.role + "_" + card.precision + ".tflite");
        record.put("sha256", card.sha256);
        record.put("role", card.role);
        record.put("target", card.target);
        record.put("precision", card.precision);
        record.put("runtime", device.runtime);
        record.put("runtime_version", device.runtimeVersion);
        record.put("threads", device.threads);
        record.put("size", Arrays.asList(card.input.height, card.input.width));
        record.put("parameters", card.parameters);
        record.put("macs", card.macs);
        record.put("macs_published", card.macsPublished);
        record.put("macs_fvcore", card.macsFvcore);
        record.put("size_bytes", card.bytes);
        record.put("latency", latency());
        List<Double> samples = new ArrayList<>();
        for (double sample : samplesMs) {
            samples.add(Math.rint(sample * 1e4) / 1e4);
        }
        record.put("samples_ms", samples);
        record.put("verdict", Statistics.steady(samplesMs) ? "STABLE" : "UNSTABLE");
        record.put("drift", Statistics.drift(samplesMs));
        record.put("load_ms", device.loadMs);
        record.put("first_inference_ms", firstMs);
        record.put("peak_rss_bytes", device.peakRssBytes);
        record.put("environment", device.environment);
        record.put("load_average", new ArrayList<Double>());
        record.put("started", device.started);
        record.put("command", "benchmark screen of the app");
        record.put("order", "one model alone, " + samplesMs.length + " runs");
        return Json.write(record);
    }

    private Map<String, Object> latency() {
        Map<String, Object> latency = new LinkedHashMap<>();
        double[] interval = Statistics.medianInterval(samplesMs);
        latency.put("median_ms", Statistics.median(samplesMs));
        latency.put("p10_ms", Statistics.percentile(samplesMs, 10));
        latency.put("p90_ms", Statistics.percentile(samplesMs, 90));
        latency.put("iqr_ms", Statistics.percentile(samplesMs, 75) - Statistics.percentile(samplesMs, 25));
        latency.put("min_ms", Statistics.percentile(samplesMs, 0));
        latency.put("interval_low_ms", interval[0]);
        latency.put("interval_high_ms", interval[1]);
        return latency;
    }
}
