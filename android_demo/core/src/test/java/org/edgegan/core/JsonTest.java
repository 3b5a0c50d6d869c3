package org.edgegan.core;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;
import static org.junit.Assert.fail;

import java.util.Arrays;
import java.util.Collections;
import java.util.Map;
import org.junit.Test;

public class JsonTest {
    @Test
    public void readsWhatItWrites() throws Exception {
        Map<String, Object> value = new java.util.LinkedHashMap<>();
        value.put("a\"\\\n\u00e9", Arrays.<Object>asList(1.5, "x", true, null, -2e-3));
        value.put("empty", Collections.emptyList());
        assertEquals(value, Json.parse(Json.write(value)));
    }

    @Test
    public void readsEscapes() throws Exception {
        assertEquals("A\n/", Json.parse(" \"\\u0041\\n\\/\" "));
    }

    @Test
    public void namesLineAndColumn() {
        String[][] cases = {
            {"{\"a\": 1,\n \"b\" 2}", "line 2, column 6: expected ':'"},
            {"[1, 01]", "bad number 01"},
            {"{\"a\": 1, \"a\": 2}", "key \"a\" stands twice"},
            {"[1] x", "text after the end"},
            {"\"\\q\"", "bad escape"},
            {"", "ends too early"},
            {"nul", "unexpected character 'n'"},
        };
        for (String[] row : cases) {
            try {
                Json.parse(row[0]);
                fail("accepted " + row[0]);
            } catch (ModelException error) {
                assertTrue(error.getMessage(), error.getMessage().contains(row[1]));
            }
        }
    }

    @Test
    public void deepNestingIsRefused() {
        char[] open = new char[100000];
        Arrays.fill(open, '[');
        try {
            Json.parse(new String(open));
            fail("accepted");
        } catch (ModelException error) {
            assertTrue(error.getMessage().contains("nested more than"));
        }
    }
}
