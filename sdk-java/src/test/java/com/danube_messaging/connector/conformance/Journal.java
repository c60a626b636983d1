package com.danube_messaging.connector.conformance;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** The file in which a conformance connector writes down what happens to it; its neighbour says that it is sick. */
final class Journal {
    private final Path file = Path.of(env("CONFORMANCE_FILE", "conformance.txt"));

    static String env(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }

    /** Appends a line, with one write. */
    void append(String line) throws IOException {
        Files.writeString(file, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
    }

    void checkHealth() {
        if (Files.exists(Path.of(file + ".sick"))) {
            throw new IllegalStateException("told to be");
        }
    }
}
