package org.edgegan.demo;

import android.content.Context;
import android.content.res.AssetManager;
import android.os.Handler;
import android.os.Looper;
import com.google.ai.edge.litert.Accelerator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.edgegan.core.Bundle;
import org.edgegan.core.Comparison;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.Runner;
import org.edgegan.core.Statistics;

/** The one thread that touches models. Loaded ones stay until others are wanted or the settings change. */
final class ModelThread {
    /** Work on the model thread; its error reaches `problem` on the main thread. */
    abstract static class Job implements Runnable {
        private ModelThread owner;

        abstract void work() throws ModelException;

        /** Main thread, after work() ended well. */
        void done() {}

        /** Main thread. */
        abstract void problem(String message);

        @Override
        public final void run() {
            String message = null;
            try {
                work();
            } catch (ModelException error) {
                message = error.getMessage();
            } catch (OutOfMemoryError error) {
                message = "not enough memory; choose a smaller picture or another way to handle it";
            }
            final String told = message;
            owner.main.post(new Runnable() {
                @Override
                public void run() {
                    if (owner.closed) {
                        return;
                    }
                    if (told == null) {
                        done();
                    } else {
                        problem(told);
                    }
                }
            });
        }
    }

    /** A loaded model and its recent times. */
    static final class Loaded {
        final ModelCard card;
        final Runner runner;
        final double loadMs;
        final Statistics.Moving median = new Statistics.Moving(15);

        Loaded(ModelCard card, Runner runner, double loadMs) {
            this.card = card;
            this.runner = runner;
            this.loadMs = loadMs;
        }
    }

    final Bundle bundle;
    final AppAssets files;
    private final AssetManager assets;
    private final Settings settings;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final ExecutorService executor = Executors.newSingleThreadExecutor();
    private final Map<String, Loaded> loaded = new LinkedHashMap<>();
    private volatile boolean closed;

    ModelThread(Context context) throws ModelException {
        assets = context.getApplicationContext().getAssets();
        files = new AppAssets(assets);
        bundle = new Bundle(files);
        settings = new Settings(context.getApplicationContext());
    }

    void submit(Job job) {
        job.owner = this;
        if (!closed) {
            executor.execute(job);
        }
    }

    /** The loaded model; model thread only. Models other than `id` and `other` are closed. */
    Loaded open(String id, String other) throws ModelException {
        String key = key(id);
        for (Iterator<Map.Entry<String, Loaded>> all = loaded.entrySet().iterator(); all.hasNext();) {
            Map.Entry<String, Loaded> entry = all.next();
            if (!entry.getKey().equals(key) && (other == null || !entry.getKey().equals(key(other)))) {
                entry.getValue().runner.close();
                all.remove();
            }
        }
        Loaded found = loaded.get(key);
        if (found == null) {
            found = load(bundle.card(id));
            loaded.put(key, found);
        }
        return found;
    }

    private String key(String id) {
        return id + "/" + settings.accelerator() + "/" + settings.threads();
    }

    private Loaded load(ModelCard card) throws ModelException {
        bundle.checkModel(card);
        long began = System.nanoTime();
        Runner runner = runner(card, settings.accelerator());
        double loadMs = (System.nanoTime() - began) / 1e6;
        try {
            float[] golden = bundle.golden(card)[0];
            float[] output = new float[card.output.count()];
            runner.run(golden, output); // the warm-up, too
            if (settings.accelerator() == Accelerator.GPU) {
                refuseSilentFallback(card, golden, output);
            }
        } catch (ModelException error) {
            runner.close();
            throw error;
        }
        return new Loaded(card, runner, loadMs);
    }

    /** A GPU adds up in another order; an output that equals the CPU's bit for bit came from the CPU. */
    private void refuseSilentFallback(ModelCard card, float[] golden, float[] onGpu) throws ModelException {
        float[] onCpu = new float[onGpu.length];
        try (Runner runner = runner(card, Accelerator.CPU)) {
            runner.run(golden, onCpu);
        }
        if (Comparison.bitEqual(onCpu, onGpu)) {
            throw new ModelException(card.title + " did not run on the GPU: its output equals the CPU's bit for bit."
                    + " Choose the CPU in the menu");
        }
    }

    Runner runner(ModelCard card, Accelerator accelerator) throws ModelException {
        return new LiteRtRunner(assets, card, accelerator, settings.threads());
    }

    Settings settings() {
        return settings;
    }

    /** Closes every model after the work that is under way. */
    void close() {
        closed = true;
        executor.execute(new Runnable() {
            @Override
            public void run() {
                for (Loaded entry : loaded.values()) {
                    entry.runner.close();
                }
                loaded.clear();
            }
        });
        executor.shutdown();
    }
}
