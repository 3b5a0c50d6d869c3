package org.edgegan.demo;

import android.Manifest;
import android.app.AlertDialog;
import android.content.DialogInterface;
import android.content.Intent;
import android.content.pm.PackageManager;
import android.net.Uri;
import android.os.Build;
import android.os.Bundle;
import android.view.Menu;
import android.view.MenuItem;
import android.view.View;
import android.widget.AdapterView;
import android.widget.Button;
import android.widget.Spinner;
import android.widget.TextView;
import android.widget.Toast;
import java.util.ArrayList;
import java.util.List;
import org.edgegan.core.ArrayPicture;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;

/** The main screen: camera or picture, one model or two, before and after. */
public final class MainActivity extends Screen implements CameraFeed.Listener {
    private static final int PICK = 1;
    private static final int ALLOW_CAMERA = 2;
    private static final int ALLOW_SAVING = 3;
    private static final int[] ROTATION_DEGREES = {0, 90, 180, 270};

    private final List<ModelCard> cards = new ArrayList<>();
    private CompareView stage;
    private TextView figures;
    private TextView problem;
    private Spinner modelList;
    private Spinner otherList;
    private CameraFeed camera;
    private boolean front;
    private boolean live;
    /** What is shown: a path of a sample or a URI of the gallery; what survives the end of the process. */
    private String shown;
    private ArrayPicture picture;
    private ArrayPicture result;
    private Translation running;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        stage = (CompareView) findViewById(R.id.stage);
        figures = (TextView) findViewById(R.id.figures);
        problem = (TextView) findViewById(R.id.problem);
        modelList = (Spinner) findViewById(R.id.model);
        otherList = (Spinner) findViewById(R.id.other);
        startModels();
        cards.addAll(cards());
        if (state != null) {
            shown = state.getString("shown");
            live = state.getBoolean("live");
            front = state.getBoolean("front");
        }
        fillLists(state);
        bind(R.id.camera);
        bind(R.id.open);
        bind(R.id.samples);
        if (shown == null && models != null && !models.bundle.samples.isEmpty()) {
            shown = models.bundle.samples.get(0);
        }
        if (!live) {
            load(shown);
        }
    }

    private void fillLists(Bundle state) {
        List<String> titles = new ArrayList<>();
        for (ModelCard card : cards) {
            titles.add(card.title);
        }
        modelList.setAdapter(titles(titles));
        List<String> others = new ArrayList<>(titles);
        others.add(0, getString(R.string.original));
        otherList.setAdapter(titles(others));
        if (state != null) {
            modelList.setSelection(state.getInt("model"));
            otherList.setSelection(state.getInt("other"));
        }
        AdapterView.OnItemSelectedListener listener = new AdapterView.OnItemSelectedListener() {
            @Override
            public void onItemSelected(AdapterView<?> list, View item, int position, long id) {
                translate();
            }

            @Override
            public void onNothingSelected(AdapterView<?> list) {}
        };
        modelList.setOnItemSelectedListener(listener);
        otherList.setOnItemSelectedListener(listener);
    }

    @Override
    void pressed(int id) {
        if (id == R.id.camera) {
            live = !live;
            if (live) {
                startCamera();
            } else {
                stopCamera();
            }
        } else if (id == R.id.open) {
            stopLive();
            Intent pick = new Intent(Intent.ACTION_OPEN_DOCUMENT);
            startActivityForResult(pick.addCategory(Intent.CATEGORY_OPENABLE).setType("image/*"), PICK);
        } else if (models != null) {
            stopLive();
            String[] names = models.bundle.samples.toArray(new String[0]);
            choose(R.string.samples, names, -1, new DialogInterface.OnClickListener() {
                @Override
                public void onClick(DialogInterface dialog, int which) {
                    dialog.dismiss();
                    load(models.bundle.samples.get(which));
                }
            });
        }
    }

    private void choose(int title, String[] items, int checked, DialogInterface.OnClickListener listener) {
        new AlertDialog.Builder(this).setTitle(title).setSingleChoiceItems(items, checked, listener).show();
    }

    /** Decodes on the model thread, so that a large picture does not block the screen. */
    private void load(final String source) {
        if (models == null || source == null) {
            return;
        }
        shown = source;
        models.submit(new ModelThread.Job() {
            private ArrayPicture made;

            @Override
            void work() throws ModelException {
                made = source.startsWith("samples/") ? models.files.decode(source)
                        : Pictures.open(getContentResolver(), Uri.parse(source));
            }

            @Override
            void done() {
                picture = made;
                translate();
            }

            @Override
            void problem(String message) {
                showProblem(message);
            }
        });
    }

    private void translate() {
        if (models == null || cards.isEmpty() || live || picture == null) {
            return;
        }
        start(picture, models.settings().choice("fit"));
    }

    private void start(ArrayPicture input, int fit) {
        if (running != null) {
            running.cancel();
        }
        int other = otherList.getSelectedItemPosition() - 1;
        ModelCard card = cards.get(Math.max(0, modelList.getSelectedItemPosition()));
        running = new Translation(models, input, fit, card, other < 0 ? null : cards.get(other), getString(R.string.before)) {
            @Override
            void progress(final int done, final int total) {
                runOnUiThread(new Runnable() {
                    @Override
                    public void run() {
                        figures.setText("tile " + (done + 1) + " of " + total);
                    }
                });
            }

            @Override
            void done() {
                result = after;
                problem.setVisibility(View.GONE);
                stage.show(Pictures.toBitmap(before), Pictures.toBitmap(after), leftLabel, rightLabel);
                figures.setText(report);
                frameDone();
            }

            @Override
            void problem(String message) {
                if (!cancelled()) {
                    stopLive();
                    showProblem(message);
                }
                frameDone();
            }
        };
        models.submit(running);
    }

    private void frameDone() {
        if (camera != null) {
            camera.ready();
        }
    }

    private void startCamera() {
        if (checkSelfPermission(Manifest.permission.CAMERA) != PackageManager.PERMISSION_GRANTED) {
            requestPermissions(new String[] {Manifest.permission.CAMERA}, ALLOW_CAMERA);
            return;
        }
        ((Button) findViewById(R.id.camera)).setText(R.string.stop);
        int rotation = getWindowManager().getDefaultDisplay().getRotation();
        camera = new CameraFeed(this, front, ROTATION_DEGREES[rotation], this);
    }

    private void stopCamera() {
        ((Button) findViewById(R.id.camera)).setText(R.string.camera);
        if (camera != null) {
            camera.stop();
            camera = null;
        }
    }

    private void stopLive() {
        live = false;
        stopCamera();
    }

    @Override
    public void onFrame(final ArrayPicture upright) {
        runOnUiThread(new Runnable() {
            @Override
            public void run() {
                if (live && camera != null && models != null && !cards.isEmpty()) {
                    picture = upright;
                    start(upright, Translation.CROPPED);
                }
            }
        });
    }

    @Override
    public void onCameraProblem(final String message) {
        runOnUiThread(new Runnable() {
            @Override
            public void run() {
                stopLive();
                showProblem(message);
            }
        });
    }

    @Override
    void showProblem(String message) {
        problem.setText(message);
        problem.setVisibility(View.VISIBLE);
    }

    @Override
    protected void onResume() {
        super.onResume();
        if (live && camera == null) {
            startCamera();
        }
    }

    /** The camera is given back in the background; `live` brings it back. */
    @Override
    protected void onPause() {
        super.onPause();
        stopCamera();
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putString("shown", shown);
        state.putBoolean("live", live);
        state.putBoolean("front", front);
        state.putInt("model", modelList.getSelectedItemPosition());
        state.putInt("other", otherList.getSelectedItemPosition());
    }

    @Override
    protected void onActivityResult(int request, int code, Intent data) {
        if (request == PICK && code == RESULT_OK && data != null && data.getData() != null) {
            load(data.getData().toString());
        }
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] names, int[] granted) {
        boolean allowed = granted.length > 0 && granted[0] == PackageManager.PERMISSION_GRANTED;
        if (request == ALLOW_CAMERA) {
            if (allowed) {
                startCamera();
            } else {
                live = false;
                showProblem(getString(R.string.no_camera));
            }
        } else if (request == ALLOW_SAVING) {
            if (allowed) {
                save(false);
            } else {
                showProblem(getString(R.string.no_storage));
            }
        }
    }

    @Override
    public boolean onCreateOptionsMenu(Menu menu) {
        getMenuInflater().inflate(R.menu.main, menu);
        return true;
    }

    @Override
    public boolean onOptionsItemSelected(MenuItem item) {
        int id = item.getItemId();
        if (id == R.id.save || id == R.id.share) {
            save(id == R.id.share);
        } else if (id == R.id.lens) {
            front = !front;
            stopCamera();
            live = true;
            startCamera();
        } else if (id == R.id.fit) {
            setting(R.string.fit, "fit", getResources().getStringArray(R.array.fits));
        } else if (id == R.id.accelerator) {
            setting(R.string.accelerator, "accelerator", Settings.ACCELERATORS);
        } else if (id == R.id.threads) {
            setting(R.string.threads, "threads", Settings.THREADS);
        } else if (id == R.id.models) {
            startActivity(new Intent(this, ModelsActivity.class));
        } else if (id == R.id.benchmark) {
            startActivity(new Intent(this, BenchmarkActivity.class));
        } else if (id == R.id.self_test) {
            startActivity(new Intent(this, SelfTestActivity.class));
        } else {
            return super.onOptionsItemSelected(item);
        }
        return true;
    }

    private void setting(int title, final String key, String[] items) {
        final Settings settings = new Settings(this);
        choose(title, items, settings.choice(key), new DialogInterface.OnClickListener() {
            @Override
            public void onClick(DialogInterface dialog, int which) {
                settings.choose(key, which);
                dialog.dismiss();
                translate();
            }
        });
    }

    private void save(final boolean share) {
        if (result == null || models == null) {
            return;
        }
        if (Build.VERSION.SDK_INT < 29 && checkSelfPermission(Manifest.permission.WRITE_EXTERNAL_STORAGE)
                != PackageManager.PERMISSION_GRANTED) {
            requestPermissions(new String[] {Manifest.permission.WRITE_EXTERNAL_STORAGE}, ALLOW_SAVING);
            return;
        }
        final ArrayPicture kept = result;
        models.submit(new ModelThread.Job() {
            private Uri uri;

            @Override
            void work() throws ModelException {
                uri = Pictures.save(getContentResolver(), kept, "edgegan_" + System.currentTimeMillis());
            }

            @Override
            void done() {
                if (share) {
                    Intent send = new Intent(Intent.ACTION_SEND).setType("image/png").putExtra(Intent.EXTRA_STREAM, uri);
                    startActivity(Intent.createChooser(send.addFlags(Intent.FLAG_GRANT_READ_URI_PERMISSION), null));
                } else {
                    Toast.makeText(MainActivity.this, R.string.saved, Toast.LENGTH_SHORT).show();
                }
            }

            @Override
            void problem(String message) {
                showProblem(message);
            }
        });
    }
}
