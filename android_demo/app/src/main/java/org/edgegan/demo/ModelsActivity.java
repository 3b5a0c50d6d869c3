package org.edgegan.demo;

import android.os.Bundle;
import android.view.View;
import android.widget.TextView;
import org.edgegan.core.ModelCard;

/** Every bundled model with its card. */
public final class ModelsActivity extends Screen {
    private TextView text;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.text);
        text = (TextView) findViewById(R.id.result);
        findViewById(R.id.start).setVisibility(View.GONE);
        startModels();
        for (ModelCard card : cards()) {
            text.append(card.title + "\n" + card.summary() + "\n\n");
        }
    }

    @Override
    void showProblem(String message) {
        text.append(message + "\n\n");
    }
}
