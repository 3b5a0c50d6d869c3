package org.edgegan.demo;

import android.app.Activity;
import android.view.View;
import android.widget.ArrayAdapter;
import java.util.ArrayList;
import java.util.List;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;

/** What screens share: a model thread that survives rotation and ends with the screen. */
abstract class Screen extends Activity {
    /** Null when the app holds no models; showProblem was called then. */
    ModelThread models;

    /** Takes over the model thread of the screen before a rotation, or starts one. Call after setContentView. */
    void startModels() {
        models = (ModelThread) getLastNonConfigurationInstance();
        if (models == null) {
            try {
                models = new ModelThread(this);
            } catch (ModelException error) {
                showProblem(error.getMessage());
            }
        }
    }

    abstract void showProblem(String message);

    /** Cards of all bundled models; unreadable ones are told and left out. */
    List<ModelCard> cards() {
        List<ModelCard> cards = new ArrayList<>();
        if (models != null) {
            for (String id : models.bundle.models) {
                try {
                    cards.add(models.bundle.card(id));
                } catch (ModelException error) {
                    showProblem(error.getMessage());
                }
            }
        }
        return cards;
    }

    /** Sends presses of the view with this id to `pressed`. */
    void bind(int id) {
        findViewById(id).setOnClickListener(new View.OnClickListener() {
            @Override
            public void onClick(View view) {
                pressed(view.getId());
            }
        });
    }

    /** A view given to `bind` was pressed. */
    void pressed(int id) {}

    /** A drop-down of titles. */
    ArrayAdapter<String> titles(List<String> titles) {
        ArrayAdapter<String> adapter = new ArrayAdapter<>(this, android.R.layout.simple_spinner_item, titles);
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        return adapter;
    }

    @Override
    public Object onRetainNonConfigurationInstance() {
        return models;
    }

    @Override
    protected void onDestroy() {
        super.onDestroy();
        if (models != null && !isChangingConfigurations()) {
            models.close();
        }
    }
}
