package org.edgegan.host;

import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import com.sun.jna.NativeLong;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.Runner;

/**
 * The app's Runner on a desktop: LiteRT's C functions in the libLiteRt.so of the ai-edge-litert wheel, through JNA.
 *
 * <p>The structures and constants are those of ai-edge-litert 2.3. System property litert.library names the file.
 */
public final class LiteRtHost implements Runner {
    private static final int ON_CPU = 1;
    private static final int FLOAT32 = 1;
    private static final int LOCK_TO_READ = 0;
    private static final int LOCK_TO_WRITE = 1;
    private static final NativeLong ZERO = new NativeLong(0);
    private static final NativeLong ONE = new NativeLong(1);

    private final NativeLibrary library = NativeLibrary.getInstance(System.getProperty("litert.library"));
    private final Memory inputs = new Memory(8);
    private final Memory outputs = new Memory(8);
    private Pointer environment;
    private Pointer model;
    private Pointer compiled;
    private Pointer input;
    private Pointer output;

    /** Loads and compiles a model for the CPU; raises ModelException with the name of the call that failed. */
    public LiteRtHost(String path, ModelCard card) throws ModelException {
        try {
            PointerByReference made = new PointerByReference();
            call("LiteRtCreateEnvironment", 0, Pointer.NULL, made);
            environment = made.getValue();
            call("LiteRtCreateModelFromFile", environment, path, made);
            model = made.getValue();
            call("LiteRtCreateOptions", made);
            Pointer options = made.getValue();
            call("LiteRtSetOptionsHardwareAccelerators", options, ON_CPU);
            call("LiteRtCreateCompiledModel", environment, model, options, made);
            compiled = made.getValue();
            library.getFunction("LiteRtDestroyOptions").invokeVoid(new Object[] {options});
            call("LiteRtGetModelSignature", model, ZERO, made);
            Pointer signature = made.getValue();
            input = buffer(signature, "Input", card.input.count());
            output = buffer(signature, "Output", card.output.count());
            inputs.setPointer(0, input);
            outputs.setPointer(0, output);
        } catch (ModelException error) {
            close();
            throw error;
        }
    }

    private Pointer buffer(Pointer signature, String side, int count) throws ModelException {
        PointerByReference tensor = new PointerByReference();
        PointerByReference requirements = new PointerByReference();
        PointerByReference made = new PointerByReference();
        call("LiteRtGetSignature" + side + "TensorByIndex", signature, ZERO, tensor);
        // {int element; {unsigned rank:7, has_strides:1; int dimensions[8]; unsigned strides[8]}}
        Memory type = new Memory(72);
        type.clear();
        call("LiteRtGetRankedTensorType", tensor.getValue(), type);
        int values = 1;
        for (int i = 0; i < (type.getInt(4) & 0x7f); i++) {
            values *= type.getInt(8 + 4 * i);
        }
        if (type.getInt(0) != FLOAT32 || values != count) {
            throw new ModelException(side + " of the model has " + values + " values of type " + type.getInt(0)
                    + ", model.json says " + count + " of float32");
        }
        call("LiteRtGetCompiledModel" + side + "BufferRequirements", compiled, ZERO, ZERO, requirements);
        call("LiteRtCreateManagedTensorBufferFromRequirements", environment, type, requirements.getValue(), made);
        return made.getValue();
    }

    @Override
    public void run(float[] values, float[] results) throws ModelException {
        PointerByReference memory = new PointerByReference();
        call("LiteRtLockTensorBuffer", input, memory, LOCK_TO_WRITE);
        memory.getValue().write(0, values, 0, values.length);
        call("LiteRtUnlockTensorBuffer", input);
        call("LiteRtRunCompiledModel", compiled, ZERO, ONE, inputs, ONE, outputs);
        call("LiteRtLockTensorBuffer", output, memory, LOCK_TO_READ);
        memory.getValue().read(0, results, 0, results.length);
        call("LiteRtUnlockTensorBuffer", output);
    }

    @Override
    public String backend() {
        return "litert CPU, this computer";
    }

    @Override
    public void close() {
        destroy("LiteRtDestroyTensorBuffer", input);
        destroy("LiteRtDestroyTensorBuffer", output);
        destroy("LiteRtDestroyCompiledModel", compiled);
        destroy("LiteRtDestroyModel", model);
        destroy("LiteRtDestroyEnvironment", environment);
        input = output = compiled = model = environment = null;
    }

    private void call(String function, Object... arguments) throws ModelException {
        int status = library.getFunction(function).invokeInt(arguments);
        if (status != 0) {
            throw new ModelException(function + " failed with status " + status);
        }
    }

    private void destroy(String function, Pointer pointer) {
        if (pointer != null) {
            library.getFunction(function).invokeVoid(new Object[] {pointer});
        }
    }
}
