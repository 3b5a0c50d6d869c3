package org.edgegan.demo;

import java.util.Locale;
import org.edgegan.core.ArrayPicture;
import org.edgegan.core.Comparison;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.ProcessMemory;
import org.edgegan.core.Translator;

/** One picture through the chosen model, and through a second one when two are compared. */
abstract class Translation extends ModelThread.Job implements Translator.Progress {
    static final int TILED = 0;
    static final int CROPPED = 1;
    static final int RESIZED = 2;

    private final ModelThread models;
    private final ArrayPicture picture;
    private final int fit;
    private final ModelCard card;
    private final ModelCard other;
    private volatile boolean cancelled;
    /** What the left side shows: the picture, or the second model's result. */
    ArrayPicture before;
    ArrayPicture after;
    final String leftLabel;
    final String rightLabel;
    String report;

    Translation(ModelThread models, ArrayPicture picture, int fit, ModelCard card, ModelCard other, String original) {
        this.models = models;
        this.picture = picture;
        this.fit = fit;
        this.card = card;
        this.other = other;
        leftLabel = other == null ? original : other.title;
        rightLabel = other == null ? "" : card.title;
    }

    void cancel() {
        cancelled = true;
    }

    boolean cancelled() {
        return cancelled;
    }

    /** Model thread: a tile of several was begun. */
    abstract void progress(int done, int total);

    @Override
    public boolean step(int done, int total) {
        if (total > 1) {
            progress(done, total);
        }
        return !cancelled;
    }

    @Override
    void work() throws ModelException {
        if (cancelled) {
            throw new ModelException("stopped");
        }
        StringBuilder lines = new StringBuilder();
        long began = System.nanoTime();
        ArrayPicture[] made = run(card, lines);
        before = made[0];
        after = made[1];
        if (other != null) {
            ArrayPicture second = run(other, lines)[1];
            if (second.width() != after.width() || second.height() != after.height()) {
                second = org.edgegan.core.Resampler.resize(second, after.width(), after.height());
            }
            before = second;
            lines.append(String.format(Locale.ROOT, "PSNR between them %.2f dB%n", Comparison.psnrDb(second, after)));
        }
        Long memory = ProcessMemory.residentBytes();
        lines.append(String.format(Locale.ROOT, "%dx%d, %.0f ms in all%s", after.width(), after.height(),
                (System.nanoTime() - began) / 1e6,
                memory == null ? "" : String.format(Locale.ROOT, ", %.0f MB of memory", memory / 1e6)));
        report = lines.toString();
    }

    private ArrayPicture[] run(ModelCard chosen, StringBuilder lines) throws ModelException {
        ModelThread.Loaded loaded = models.open(chosen.id, chosen == card ? id(other) : card.id);
        Translator translator = new Translator(loaded.runner, chosen);
        long began = System.nanoTime();
        ArrayPicture[] made;
        if (fit == TILED) {
            made = new ArrayPicture[] {picture, translator.tiled(picture, this)};
        } else if (fit == CROPPED) {
            made = translator.cropped(picture);
        } else if (fit == RESIZED) {
            made = new ArrayPicture[] {picture, translator.resized(picture)};
        } else {
            made = new ArrayPicture[] {picture, translator.padded(picture)};
        }
        double totalMs = (System.nanoTime() - began) / 1e6;
        double runMs = translator.runNanos / 1e6;
        lines.append(String.format(Locale.ROOT, "%s: %.1f ms (median %.1f), with pictures %.1f ms, %.2f MB, %.2f GMACs, %s%n",
                chosen.title, runMs, loaded.median.add(runMs), totalMs, chosen.bytes / 1e6, chosen.macs / 1e9,
                loaded.runner.backend()));
        return made;
    }

    private static String id(ModelCard card) {
        return card == null ? null : card.id;
    }
}
