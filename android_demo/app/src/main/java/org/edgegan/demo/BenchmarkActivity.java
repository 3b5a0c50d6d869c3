package org.edgegan.demo;

import android.content.Intent;
import android.os.Build;
import android.os.Bundle;
import android.os.PowerManager;
import android.widget.Button;
import android.widget.Spinner;
import android.widget.TextView;
import java.io.IOException;
import java.io.OutputStream;
import java.text.SimpleDateFormat;
import java.util.ArrayList;
import java.util.Date;
import java.util.List;
import java.util.Locale;
import java.util.TimeZone;
import org.edgegan.core.Benchmark;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.ProcessMemory;
import org.edgegan.core.Statistics;
import org.edgegan.core.Translator;

/** Times one model and gives the record away as JSON that `edgegan report` reads. */
public final class BenchmarkActivity extends Screen {
    private static final int RUNS = 100;
    private static final int SAVE = 1;
    private static final String[] THERMAL = {"none", "light", "moderate", "severe", "critical", "emergency", "shutdown"};

    private final List<ModelCard> cards = new ArrayList<>();
    private TextView text;
    private Spinner list;
    private String record;
    private String recordName;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.benchmark);
        text = (TextView) findViewById(R.id.result);
        list = (Spinner) findViewById(R.id.model);
        startModels();
        cards.addAll(cards());
        List<String> titles = new ArrayList<>();
        for (ModelCard card : cards) {
            titles.add(card.title);
        }
        list.setAdapter(titles(titles));
        if (state != null) {
            show(state.getString("record"), state.getString("name"), state.getCharSequence("text"));
        }
        bind(R.id.start);
        bind(R.id.share);
        bind(R.id.save);
    }

    @Override
    void pressed(int id) {
        if (id == R.id.start) {
            begin();
        } else if (id == R.id.share) {
            Intent send = new Intent(Intent.ACTION_SEND).setType("application/json");
            send.putExtra(Intent.EXTRA_TEXT, record).putExtra(Intent.EXTRA_SUBJECT, recordName);
            startActivity(Intent.createChooser(send, null));
        } else {
            Intent create = new Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE);
            startActivityForResult(create.setType("application/json").putExtra(Intent.EXTRA_TITLE, recordName), SAVE);
        }
    }

    private void begin() {
        if (models == null || cards.isEmpty()) {
            return;
        }
        final Button start = (Button) findViewById(R.id.start);
        start.setEnabled(false);
        final ModelCard card = cards.get(Math.max(0, list.getSelectedItemPosition()));
        models.submit(new ModelThread.Job() {
            private String made;
            private String report;

            @Override
            void work() throws ModelException {
                ModelThread.Loaded loaded = models.open(card.id, null);
                String before = thermal();
                Benchmark benchmark = new Benchmark(loaded.runner, models.bundle.golden(card)[0], card.output.count(),
                        RUNS, new Translator.Progress() {
                            @Override
                            public boolean step(int done, int total) {
                                tell(done % 10 == 0 ? "run " + done + " of " + total : null);
                                return !isFinishing();
                            }
                        });
                Benchmark.Device device = device(loaded, before);
                made = benchmark.record(card, device);
                report = describe(card, benchmark, device);
            }

            @Override
            void done() {
                start.setEnabled(true);
                show(made, "phone__" + card.role + "_" + card.precision + ".tflite.json", report);
            }

            @Override
            void problem(String message) {
                start.setEnabled(true);
                showProblem(message);
            }
        });
    }

    private void tell(final String message) {
        if (message != null) {
            runOnUiThread(new Runnable() {
                @Override
                public void run() {
                    text.setText(message);
                }
            });
        }
    }

    private Benchmark.Device device(ModelThread.Loaded loaded, String thermalBefore) {
        Benchmark.Device device = new Benchmark.Device();
        device.runtime = "litert";
        device.runtimeVersion = getString(R.string.litert_version);
        device.threads = models.settings().threads();
        device.loadMs = loaded.loadMs;
        device.peakRssBytes = ProcessMemory.peakBytes();
        SimpleDateFormat utc = new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss'+00:00'", Locale.ROOT);
        utc.setTimeZone(TimeZone.getTimeZone("UTC"));
        device.started = utc.format(new Date());
        device.environment.put("processor", Build.MANUFACTURER + " " + Build.MODEL + " (" + Build.HARDWARE + ")");
        device.environment.put("accelerator", String.valueOf(models.settings().accelerator()));
        device.environment.put("android", Build.VERSION.RELEASE);
        device.environment.put("thermal_status_before", thermalBefore);
        device.environment.put("thermal_status", thermal());
        return device;
    }

    /** The phone's own verdict on its heat (Android 10 on); called by name, since the app also runs on older ones. */
    private String thermal() {
        Object power = getSystemService(POWER_SERVICE);
        try {
            int status = (Integer) PowerManager.class.getMethod("getCurrentThermalStatus").invoke(power);
            return status >= 0 && status < THERMAL.length ? THERMAL[status] : "unknown";
        } catch (ReflectiveOperationException error) {
            return "unknown";
        }
    }

    private static String describe(ModelCard card, Benchmark made, Benchmark.Device device) {
        double[] samples = made.samplesMs;
        return String.format(Locale.ROOT, "%s%n%s, %s, %d threads%n%nmedian %.2f ms%np90 %.2f ms%nfirst %.2f ms%nload %.0f ms%n"
                        + "drift %.3f (%s)%nheat before: %s, after: %s%npeak memory %s",
                card.title, device.environment.get("processor"), device.environment.get("accelerator"), device.threads,
                Statistics.median(samples), Statistics.percentile(samples, 90), made.firstMs, device.loadMs,
                Statistics.drift(samples), Statistics.steady(samples) ? "STABLE" : "UNSTABLE",
                device.environment.get("thermal_status_before"), device.environment.get("thermal_status"),
                device.peakRssBytes == null ? "unknown"
                        : String.format(Locale.ROOT, "%.0f MB", device.peakRssBytes / 1e6));
    }

    private void show(String made, String name, CharSequence report) {
        record = made;
        recordName = name;
        text.setText(report);
        findViewById(R.id.share).setEnabled(made != null);
        findViewById(R.id.save).setEnabled(made != null);
    }

    @Override
    protected void onActivityResult(int request, int code, Intent data) {
        if (request != SAVE || code != RESULT_OK || data == null || record == null) {
            return;
        }
        try (OutputStream out = getContentResolver().openOutputStream(data.getData())) {
            out.write(record.getBytes("UTF-8"));
        } catch (IOException error) {
            showProblem("the record was not saved: " + error.getMessage());
        }
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putString("record", record);
        state.putString("name", recordName);
        state.putCharSequence("text", text.getText());
    }

    @Override
    void showProblem(String message) {
        text.setText(message);
    }
}
