package org.edgegan.demo;

import android.content.res.AssetManager;
import com.google.ai.edge.litert.Accelerator;
import com.google.ai.edge.litert.CompiledModel;
import com.google.ai.edge.litert.LiteRtException;
import com.google.ai.edge.litert.TensorBuffer;
import java.util.Collections;
import java.util.List;
import org.edgegan.core.Bundle;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.Runner;

/** LiteRT's CompiledModel. Exactly one accelerator is asked for: a list of two would fall back without a word. */
final class LiteRtRunner implements Runner {
    private final CompiledModel model;
    private final List<TensorBuffer> inputs;
    private final List<TensorBuffer> outputs;
    private final Accelerator accelerator;

    LiteRtRunner(AssetManager assets, ModelCard card, Accelerator accelerator, int threads) throws ModelException {
        this.accelerator = accelerator;
        CompiledModel made = null;
        List<TensorBuffer> madeInputs = Collections.emptyList();
        try {
            CompiledModel.Options options = new CompiledModel.Options(accelerator);
            if (accelerator == Accelerator.CPU) {
                options.setCpuOptions(new CompiledModel.CpuOptions(threads, null, null));
            }
            made = CompiledModel.create(assets, Bundle.folder(card.id) + card.file, options);
            madeInputs = made.createInputBuffers();
            outputs = made.createOutputBuffers();
        } catch (LiteRtException error) {
            close(madeInputs);
            close(made);
            throw new ModelException(card.title + " does not load on the " + accelerator + ": " + error.getMessage(), error);
        } catch (LinkageError error) {
            throw new ModelException("LiteRT is not in this build of the app (" + error.getMessage()
                    + "). Build it with Gradle, which adds it", error);
        }
        model = made;
        inputs = madeInputs;
    }

    @Override
    public void run(float[] input, float[] output) throws ModelException {
        try {
            inputs.get(0).writeFloat(input);
            model.run(inputs, outputs);
            // run() may return before a GPU is done; reading waits for it, so callers time both together.
            float[] values = outputs.get(0).readFloat();
            if (values.length != output.length) {
                throw new ModelException("the model made " + values.length + " values instead of " + output.length);
            }
            System.arraycopy(values, 0, output, 0, values.length);
        } catch (LiteRtException error) {
            throw new ModelException("LiteRT failed on the " + accelerator + ": " + error.getMessage(), error);
        }
    }

    @Override
    public String backend() {
        return "litert " + accelerator;
    }

    @Override
    public void close() {
        close(inputs);
        close(outputs);
        close(model);
    }

    private static void close(List<TensorBuffer> buffers) {
        for (TensorBuffer buffer : buffers) {
            buffer.close();
        }
    }

    private static void close(CompiledModel model) {
        if (model != null) {
            model.close();
        }
    }
}
