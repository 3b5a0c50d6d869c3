package org.edgegan.core;

/** A model, its model.json or its golden tensors cannot be used; the message is for the person at the screen. */
public final class ModelException extends Exception {
    private static final long serialVersionUID = 1L;

    public ModelException(String message) {
        super(message);
    }

    public ModelException(String message, Throwable cause) {
        super(message, cause);
    }
}
