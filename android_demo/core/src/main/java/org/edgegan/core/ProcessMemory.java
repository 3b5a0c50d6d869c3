package org.edgegan.core;

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStreamReader;

/** Memory of this process as the Linux kernel counts it. */
public final class ProcessMemory {
    private ProcessMemory() {}

    /** Resident bytes now, or null when the kernel does not say. */
    public static Long residentBytes() {
        return read("VmRSS:");
    }

    /** The most resident bytes so far, or null when the kernel does not say. */
    public static Long peakBytes() {
        return read("VmHWM:");
    }

    private static Long read(String key) {
        try (BufferedReader lines = new BufferedReader(
                new InputStreamReader(new FileInputStream("/proc/self/status"), "US-ASCII"))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                if (line.startsWith(key)) {
                    return Long.parseLong(line.replaceAll("[^0-9]", "")) * 1024;
                }
            }
        } catch (IOException error) {
            return null;
        }
        return null;
    }
}
