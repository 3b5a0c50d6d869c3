package org.edgegan.core;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Strict JSON (RFC 8259) to Map, List, String, Double, Boolean or null, and back.
 *
 * <p>Errors name line and column, so that a truncated or hand-edited file can be repaired.
 */
public final class Json {
    private static final int MAX_DEPTH = 64;

    private final String text;
    private int position;

    private Json(String text) {
        this.text = text;
    }

    /** Parses one JSON value; raises ModelException saying where the text stops being JSON. */
    public static Object parse(String text) throws ModelException {
        Json json = new Json(text);
        Object value = json.value(0);
        json.skipSpace();
        if (json.position < text.length()) {
            throw json.problem("text after the end of the JSON value");
        }
        return value;
    }

    /** Writes a value made of Map, List, String, Number, Boolean and null; NaN and infinities become null. */
    public static String write(Object value) {
        StringBuilder out = new StringBuilder();
        append(out, value, "\n");
        return out.append('\n').toString();
    }

    private static void append(StringBuilder out, Object value, String indent) {
        if (value instanceof Map) {
            appendMap(out, (Map<?, ?>) value, indent);
        } else if (value instanceof List) {
            appendList(out, (List<?>) value, indent);
        } else if (value instanceof String) {
            quote(out, (String) value);
        } else if (value instanceof Double || value instanceof Float) {
            double number = ((Number) value).doubleValue();
            boolean finite = !Double.isNaN(number) && !Double.isInfinite(number);
            out.append(finite ? String.valueOf(value) : "null");
        } else {
            out.append(value);
        }
    }

    private static void appendMap(StringBuilder out, Map<?, ?> map, String indent) {
        String separator = "";
        out.append('{');
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            out.append(separator).append(indent).append("  ");
            quote(out, String.valueOf(entry.getKey()));
            out.append(": ");
            append(out, entry.getValue(), indent + "  ");
            separator = ",";
        }
        out.append(map.isEmpty() ? "" : indent).append('}');
    }

    private static void appendList(StringBuilder out, List<?> list, String indent) {
        String separator = "";
        out.append('[');
        for (Object item : list) {
            out.append(separator);
            append(out, item, indent + "  ");
            separator = ", ";
        }
        out.append(']');
    }

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                String hex = Integer.toHexString(c);
                out.append("\\u").append("0000".substring(hex.length())).append(hex);
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    private Object value(int depth) throws ModelException {
        if (depth > MAX_DEPTH) {
            throw problem("nested more than " + MAX_DEPTH + " deep");
        }
        skipSpace();
        char c = peek();
        if (c == '{') {
            return object(depth);
        }
        if (c == '[') {
            return array(depth);
        }
        if (c == '"') {
            return string();
        }
        if (c == '-' || (c >= '0' && c <= '9')) {
            return number();
        }
        if (take("true")) {
            return Boolean.TRUE;
        }
        if (take("false")) {
            return Boolean.FALSE;
        }
        if (take("null")) {
            return null;
        }
        throw problem("unexpected character '" + c + "'");
    }

    private Map<String, Object> object(int depth) throws ModelException {
        Map<String, Object> map = new LinkedHashMap<>();
        position++;
        skipSpace();
        if (peek() == '}') {
            position++;
            return map;
        }
        while (true) {
            skipSpace();
            if (peek() != '"') {
                throw problem("expected a key in double quotes");
            }
            String key = string();
            skipSpace();
            expect(':');
            if (map.containsKey(key)) {
                throw problem("key \"" + key + "\" stands twice");
            }
            map.put(key, value(depth + 1));
            skipSpace();
            if (peek() == '}') {
                position++;
                return map;
            }
            expect(',');
        }
    }

    private List<Object> array(int depth) throws ModelException {
        List<Object> list = new ArrayList<>();
        position++;
        skipSpace();
        if (peek() == ']') {
            position++;
            return list;
        }
        while (true) {
            list.add(value(depth + 1));
            skipSpace();
            if (peek() == ']') {
                position++;
                return list;
            }
            expect(',');
        }
    }

    private String string() throws ModelException {
        StringBuilder out = new StringBuilder();
        position++;
        while (true) {
            char c = peek();
            position++;
            if (c == '"') {
                return out.toString();
            }
            if (c < ' ') {
                throw problem("control character in a string");
            }
            out.append(c == '\\' ? escaped() : c);
        }
    }

    private char escaped() throws ModelException {
        char c = peek();
        position++;
        int index = "\"\\/bfnrt".indexOf(c);
        if (index >= 0) {
            return "\"\\/\b\f\n\r\t".charAt(index);
        }
        if (c == 'u' && position + 4 <= text.length()) {
            String hex = text.substring(position, position + 4);
            if (hex.matches("[0-9a-fA-F]{4}")) {
                position += 4;
                return (char) Integer.parseInt(hex, 16);
            }
        }
        throw problem("bad escape in a string");
    }

    private Double number() throws ModelException {
        int start = position;
        while (position < text.length() && "+-.eE0123456789".indexOf(text.charAt(position)) >= 0) {
            position++;
        }
        String digits = text.substring(start, position);
        if (!digits.matches("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?")) {
            throw problem("bad number " + digits);
        }
        return Double.valueOf(digits);
    }

    private boolean take(String word) {
        boolean found = text.startsWith(word, position);
        position += found ? word.length() : 0;
        return found;
    }

    private void expect(char wanted) throws ModelException {
        if (peek() != wanted) {
            throw problem("expected '" + wanted + "'");
        }
        position++;
    }

    private char peek() throws ModelException {
        if (position >= text.length()) {
            throw problem("the text ends too early");
        }
        return text.charAt(position);
    }

    private void skipSpace() {
        while (position < text.length() && " \t\r\n".indexOf(text.charAt(position)) >= 0) {
            position++;
        }
    }

    private ModelException problem(String what) {
        int line = 1;
        int column = 1;
        for (int i = 0; i < Math.min(position, text.length()); i++) {
            column = text.charAt(i) == '\n' ? 1 : column + 1;
            line += text.charAt(i) == '\n' ? 1 : 0;
        }
        return new ModelException("line " + line + ", column " + column + ": " + what);
    }
}
