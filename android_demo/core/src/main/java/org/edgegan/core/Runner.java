package org.edgegan.core;

/** One loaded model: a float32 NHWC picture in, one out. Used by one thread at a time. */
public interface Runner extends AutoCloseable {
    /** Runs once and reads the result back; raises ModelException with the runtime's own words. */
    void run(float[] input, float[] output) throws ModelException;

    /** The runtime and accelerator, such as "litert CPU". */
    String backend();

    @Override
    void close();
}
