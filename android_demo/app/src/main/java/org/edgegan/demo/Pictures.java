package org.edgegan.demo;

import android.content.ContentResolver;
import android.content.ContentValues;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.media.ExifInterface;
import android.net.Uri;
import android.os.Build;
import android.os.Environment;
import android.provider.MediaStore;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import org.edgegan.core.ArrayPicture;
import org.edgegan.core.ModelException;

/** Pictures between the phone and the core: decoded upright and bounded in size, saved to the gallery. */
final class Pictures {
    /** Larger pictures are decoded at half, a quarter, ... of their size: a result must fit the heap too. */
    static final int MAX_PIXELS = 12_000_000;

    private static final String FOLDER = "edgegan";

    private Pictures() {}

    static ArrayPicture toPicture(Bitmap bitmap) {
        int width = bitmap.getWidth();
        int height = bitmap.getHeight();
        int[] argb = new int[width * height];
        bitmap.getPixels(argb, 0, width, 0, 0, width, height);
        bitmap.recycle();
        return new ArrayPicture(argb, width, height);
    }

    static Bitmap toBitmap(ArrayPicture picture) {
        return Bitmap.createBitmap(picture.argb, picture.width(), picture.height(), Bitmap.Config.ARGB_8888);
    }

    /** Decodes what a URI points to; raises ModelException when it is empty, damaged, gone or not a picture. */
    static ArrayPicture open(ContentResolver resolver, Uri uri) throws ModelException {
        try {
            BitmapFactory.Options options = new BitmapFactory.Options();
            options.inJustDecodeBounds = true;
            decode(resolver, uri, options);
            if (options.outWidth < 1 || options.outHeight < 1) {
                throw new ModelException("this file is empty, damaged or not a picture");
            }
            options.inJustDecodeBounds = false;
            options.inSampleSize = 1;
            while ((long) options.outWidth * options.outHeight
                    / ((long) options.inSampleSize * options.inSampleSize) > MAX_PIXELS) {
                options.inSampleSize *= 2;
            }
            Bitmap bitmap = decode(resolver, uri, options);
            if (bitmap == null) {
                throw new ModelException("this picture is damaged");
            }
            int degrees = rotation(resolver, uri);
            ArrayPicture picture = toPicture(bitmap);
            return degrees == 0 ? picture : picture.turn(degrees, false);
        } catch (IOException | SecurityException error) {
            throw new ModelException("this picture cannot be read: " + error.getMessage(), error);
        } catch (OutOfMemoryError error) {
            throw new ModelException("this picture does not fit the memory of the phone", error);
        }
    }

    private static Bitmap decode(ContentResolver resolver, Uri uri, BitmapFactory.Options options) throws IOException {
        try (InputStream in = resolver.openInputStream(uri)) {
            return BitmapFactory.decodeStream(in, null, options);
        }
    }

    private static int rotation(ContentResolver resolver, Uri uri) {
        try (InputStream in = resolver.openInputStream(uri)) {
            int tag = new ExifInterface(in).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1);
            return tag == 6 ? 90 : tag == 3 ? 180 : tag == 8 ? 270 : 0;
        } catch (IOException error) {
            return 0; // no EXIF: formats without it are upright
        }
    }

    /** Saves to Pictures/edgegan; the URI can be shared. Raises ModelException with the reason when it cannot. */
    static Uri save(ContentResolver resolver, ArrayPicture picture, String name) throws ModelException {
        ContentValues values = new ContentValues();
        values.put(MediaStore.MediaColumns.DISPLAY_NAME, name + ".png");
        values.put(MediaStore.MediaColumns.MIME_TYPE, "image/png");
        boolean scoped = Build.VERSION.SDK_INT >= 29;
        try {
            File file = null;
            if (scoped) {
                values.put("relative_path", Environment.DIRECTORY_PICTURES + "/" + FOLDER);
                values.put("is_pending", 1);
            } else {
                file = new File(Environment.getExternalStoragePublicDirectory(Environment.DIRECTORY_PICTURES), FOLDER);
                if (!file.isDirectory() && !file.mkdirs()) {
                    throw new IOException("cannot create " + file);
                }
                file = new File(file, name + ".png");
                values.put("_data", file.getPath());
                write(new FileOutputStream(file), picture);
            }
            Uri uri = resolver.insert(MediaStore.Images.Media.EXTERNAL_CONTENT_URI, values);
            if (uri == null) {
                throw new IOException("the gallery did not take it");
            }
            if (scoped) {
                write(resolver.openOutputStream(uri), picture);
                ContentValues done = new ContentValues();
                done.put("is_pending", 0);
                resolver.update(uri, done, null, null);
            }
            return uri;
        } catch (IOException | SecurityException error) {
            throw new ModelException("the picture was not saved: " + error.getMessage(), error);
        }
    }

    private static void write(OutputStream stream, ArrayPicture picture) throws IOException {
        try (OutputStream out = stream) {
            Bitmap bitmap = toBitmap(picture);
            boolean written = bitmap.compress(Bitmap.CompressFormat.PNG, 100, out);
            bitmap.recycle();
            if (!written) {
                throw new IOException("it could not be written");
            }
        }
    }
}
