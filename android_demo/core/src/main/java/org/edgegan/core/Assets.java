package org.edgegan.core;

import java.io.IOException;
import java.io.InputStream;

/** Bundled files by path, such as models/ID/model.json; raises IOException when one is missing. */
public interface Assets {
    InputStream open(String path) throws IOException;
}
