package org.edgegan.demo;

import android.os.Bundle;
import android.widget.Button;
import android.widget.TextView;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.Runner;
import org.edgegan.core.SelfTest;

/** Proves every bundled model on this phone. */
public final class SelfTestActivity extends Screen implements SelfTest.Loader {
    private TextView text;
    private Button start;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.text);
        text = (TextView) findViewById(R.id.result);
        text.setText(R.string.self_test_hint);
        start = (Button) findViewById(R.id.start);
        startModels();
        start.setEnabled(models != null);
        bind(R.id.start);
    }

    @Override
    void pressed(int button) {
        start.setEnabled(false);
        text.setText(models.settings().accelerator() + "\n\n");
        for (final String id : models.bundle.models) {
            models.submit(new ModelThread.Job() {
                private SelfTest.Result made;

                @Override
                void work() {
                    made = SelfTest.check(models.bundle, id, SelfTestActivity.this, models.files);
                }

                @Override
                void done() {
                    text.append((made.passed ? "PASS  " : "FAIL  ") + id + "\n" + made.message + "\n\n");
                    start.setEnabled(true);
                }

                @Override
                void problem(String message) {
                    showProblem(message);
                    start.setEnabled(true);
                }
            });
        }
    }

    @Override
    public Runner load(ModelCard card) throws ModelException {
        return models.runner(card, models.settings().accelerator());
    }

    @Override
    void showProblem(String message) {
        text.append(message + "\n\n");
    }
}
