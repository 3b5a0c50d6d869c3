package org.edgegan.demo;

import android.content.Context;
import android.content.SharedPreferences;
import com.google.ai.edge.litert.Accelerator;

/** What the user chose, kept between starts. */
final class Settings {
    static final String[] ACCELERATORS = {"CPU", "GPU"};
    static final String[] THREADS = {"1", "2", "4", "8"};

    private final SharedPreferences kept;

    Settings(Context context) {
        kept = context.getSharedPreferences("settings", Context.MODE_PRIVATE);
    }

    Accelerator accelerator() {
        return choice("accelerator") == 1 ? Accelerator.GPU : Accelerator.CPU;
    }

    int threads() {
        return Integer.parseInt(THREADS[Math.min(choice("threads"), THREADS.length - 1)]);
    }

    int choice(String key) {
        return kept.getInt(key, key.equals("threads") ? 2 : 0);
    }

    void choose(String key, int value) {
        kept.edit().putInt(key, value).apply();
    }
}
