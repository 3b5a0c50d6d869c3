package org.edgegan.demo;

import android.content.Context;
import android.graphics.ImageFormat;
import android.hardware.camera2.CameraAccessException;
import android.hardware.camera2.CameraCaptureSession;
import android.hardware.camera2.CameraCharacteristics;
import android.hardware.camera2.CameraDevice;
import android.hardware.camera2.CameraManager;
import android.hardware.camera2.CaptureRequest;
import android.hardware.camera2.params.StreamConfigurationMap;
import android.media.Image;
import android.media.ImageReader;
import android.os.Handler;
import android.os.HandlerThread;
import android.util.Size;
import android.view.Surface;
import java.util.Collections;
import java.util.concurrent.atomic.AtomicBoolean;
import org.edgegan.core.ArrayPicture;
import org.edgegan.core.CameraFrame;

/** Upright frames of one lens. Only the newest is delivered, and none before the last one was given back with ready(). */
final class CameraFeed {
    /** Told on the camera's own thread. */
    interface Listener {
        void onFrame(ArrayPicture upright);

        void onCameraProblem(String message);
    }

    private static final int WANTED_PIXELS = 640 * 480;

    private final Listener listener;
    private final HandlerThread thread = new HandlerThread("camera");
    private final AtomicBoolean ready = new AtomicBoolean(true);
    private final boolean front;
    private final int displayDegrees;
    private final Handler handler;
    private CameraDevice device;
    private ImageReader reader;
    private int turn;
    private boolean stopped;

    CameraFeed(Context context, boolean front, int displayDegrees, Listener listener) {
        this.listener = listener;
        this.front = front;
        this.displayDegrees = displayDegrees;
        thread.start();
        handler = new Handler(thread.getLooper());
        final CameraManager manager = (CameraManager) context.getSystemService(Context.CAMERA_SERVICE);
        handler.post(new Runnable() {
            @Override
            public void run() {
                try {
                    open(manager);
                } catch (CameraAccessException | SecurityException | IllegalArgumentException error) {
                    listener().onCameraProblem("the camera does not open: " + error.getMessage());
                }
            }
        });
    }

    private Listener listener() {
        return listener;
    }

    /** The last frame was used; the next one may come. */
    void ready() {
        ready.set(true);
    }

    void stop() {
        handler.post(new Runnable() {
            @Override
            public void run() {
                stopped = true;
                if (device != null) {
                    device.close();
                    device = null;
                }
                if (reader != null) {
                    reader.close();
                    reader = null;
                }
                thread.quitSafely();
            }
        });
    }

    private void open(CameraManager manager) throws CameraAccessException {
        String chosen = null;
        CameraCharacteristics about = null;
        for (String id : manager.getCameraIdList()) {
            CameraCharacteristics candidate = manager.getCameraCharacteristics(id);
            Integer facing = candidate.get(CameraCharacteristics.LENS_FACING);
            boolean isFront = facing != null && facing == CameraCharacteristics.LENS_FACING_FRONT;
            if (chosen == null || isFront == front) {
                chosen = id;
                about = candidate;
                if (isFront == front) {
                    break;
                }
            }
        }
        StreamConfigurationMap map = about == null ? null
                : about.get(CameraCharacteristics.SCALER_STREAM_CONFIGURATION_MAP);
        if (map == null) {
            listener.onCameraProblem("this phone has no camera an app may use");
            return;
        }
        Integer sensor = about.get(CameraCharacteristics.SENSOR_ORIENTATION);
        turn = CameraFrame.rotation(sensor == null ? 0 : sensor, displayDegrees, front);
        Size size = nearest(map.getOutputSizes(ImageFormat.YUV_420_888));
        reader = ImageReader.newInstance(size.getWidth(), size.getHeight(), ImageFormat.YUV_420_888, 2);
        reader.setOnImageAvailableListener(new ImageReader.OnImageAvailableListener() {
            @Override
            public void onImageAvailable(ImageReader source) {
                deliver(source);
            }
        }, handler);
        manager.openCamera(chosen, new CameraDevice.StateCallback() {
            @Override
            public void onOpened(CameraDevice camera) {
                if (stopped) {
                    camera.close();
                    return;
                }
                device = camera;
                try {
                    stream(camera);
                } catch (CameraAccessException error) {
                    listener.onCameraProblem("the camera does not start: " + error.getMessage());
                }
            }

            @Override
            public void onDisconnected(CameraDevice camera) {
                camera.close();
                listener.onCameraProblem("another app took the camera");
            }

            @Override
            public void onError(CameraDevice camera, int code) {
                camera.close();
                listener.onCameraProblem("the camera failed (code " + code + ")");
            }
        }, handler);
    }

    private static Size nearest(Size[] sizes) {
        Size best = sizes[0];
        for (Size size : sizes) {
            int distance = Math.abs(size.getWidth() * size.getHeight() - WANTED_PIXELS);
            if (distance < Math.abs(best.getWidth() * best.getHeight() - WANTED_PIXELS)) {
                best = size;
            }
        }
        return best;
    }

    private void stream(final CameraDevice camera) throws CameraAccessException {
        final Surface surface = reader.getSurface();
        camera.createCaptureSession(Collections.singletonList(surface), new CameraCaptureSession.StateCallback() {
            @Override
            public void onConfigured(CameraCaptureSession session) {
                try {
                    CaptureRequest.Builder request = camera.createCaptureRequest(CameraDevice.TEMPLATE_PREVIEW);
                    request.addTarget(surface);
                    session.setRepeatingRequest(request.build(), null, handler);
                } catch (CameraAccessException | IllegalStateException error) {
                    listener.onCameraProblem("the camera does not stream: " + error.getMessage());
                }
            }

            @Override
            public void onConfigureFailed(CameraCaptureSession session) {
                listener.onCameraProblem("the camera does not stream at this size");
            }
        }, handler);
    }

    private void deliver(ImageReader source) {
        Image image = source.acquireLatestImage();
        if (image == null) {
            return;
        }
        try {
            if (stopped || !ready.compareAndSet(true, false)) {
                return;
            }
            Image.Plane[] planes = image.getPlanes();
            ArrayPicture frame = CameraFrame.toPicture(image.getWidth(), image.getHeight(),
                    planes[0].getBuffer(), planes[0].getRowStride(), planes[0].getPixelStride(),
                    planes[1].getBuffer(), planes[2].getBuffer(), planes[1].getRowStride(), planes[1].getPixelStride());
            listener.onFrame(turn == 0 && !front ? frame : frame.turn(turn, front));
        } finally {
            image.close();
        }
    }
}
