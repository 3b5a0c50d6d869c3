package org.edgegan.core;

import java.util.List;
import java.util.Map;

/** A JSON object whose values are read by key and type; errors name the dotted key. */
final class JsonObject {
    private static final long MOST_PART = 8192;

    private final Map<?, ?> map;
    private final String path;

    JsonObject(Object value, String path) throws ModelException {
        if (!(value instanceof Map)) {
            throw new ModelException((path.isEmpty() ? "the file" : path) + " is not a JSON object");
        }
        this.map = (Map<?, ?>) value;
        this.path = path;
    }

    boolean has(String key) {
        return map.get(key) != null;
    }

    String text(String key) throws ModelException {
        return (String) typed(key, String.class, "text");
    }

    String textOr(String key, String other) throws ModelException {
        return has(key) ? text(key) : other;
    }

    double number(String key) throws ModelException {
        return (Double) typed(key, Double.class, "a number");
    }

    /** A whole number in [0, 2^53]. */
    long whole(String key) throws ModelException {
        return whole(typed(key, Double.class, "a number"), name(key));
    }

    JsonObject object(String key) throws ModelException {
        return new JsonObject(typed(key, Map.class, "an object"), name(key));
    }

    List<?> list(String key) throws ModelException {
        return (List<?>) typed(key, List.class, "a list");
    }

    /** The only item of a list of objects; raises ModelException when there are none or several. */
    JsonObject only(String key) throws ModelException {
        List<?> items = list(key);
        if (items.size() != 1) {
            throw new ModelException(name(key) + " has " + items.size() + " entries; this app reads models with one");
        }
        return new JsonObject(items.get(0), name(key) + ".0");
    }

    double[] numbers(String key, int count) throws ModelException {
        List<?> items = list(key);
        if (items.size() != count) {
            throw new ModelException(name(key) + " has " + items.size() + " entries instead of " + count);
        }
        double[] values = new double[count];
        for (int i = 0; i < count; i++) {
            if (!(items.get(i) instanceof Double)) {
                throw new ModelException(name(key) + "." + i + " is not a number");
            }
            values[i] = (Double) items.get(i);
        }
        return values;
    }

    /** Two whole numbers from 1 to 8192 as a reduced fraction. */
    long[] fraction(String key) throws ModelException {
        double[] values = numbers(key, 2);
        long[] parts = new long[2];
        for (int i = 0; i < 2; i++) {
            parts[i] = whole(values[i], name(key) + "." + i);
            if (parts[i] < 1 || parts[i] > MOST_PART) {
                throw new ModelException(name(key) + "." + i + " is not a number from 1 to " + MOST_PART);
            }
        }
        long divisor = parts[0];
        for (long rest = parts[1]; rest != 0;) {
            long next = divisor % rest;
            divisor = rest;
            rest = next;
        }
        return new long[] {parts[0] / divisor, parts[1] / divisor};
    }

    static long whole(Object value, String name) throws ModelException {
        double number = (Double) value;
        if (number < 0 || number > 9007199254740992.0 || number != Math.rint(number)) {
            throw new ModelException(name + " is " + number + ", not a whole number");
        }
        return (long) number;
    }

    String name(String key) {
        return path.isEmpty() ? key : path + "." + key;
    }

    private Object typed(String key, Class<?> type, String description) throws ModelException {
        Object value = map.get(key);
        if (value == null) {
            throw new ModelException(name(key) + " is missing");
        }
        if (!type.isInstance(value)) {
            throw new ModelException(name(key) + " is not " + description);
        }
        return value;
    }
}
