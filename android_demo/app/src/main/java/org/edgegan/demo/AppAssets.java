package org.edgegan.demo;

import android.content.res.AssetManager;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import java.io.IOException;
import java.io.InputStream;
import org.edgegan.core.ArrayPicture;
import org.edgegan.core.Assets;
import org.edgegan.core.ModelException;
import org.edgegan.core.SelfTest;

/** The APK's assets as the core reads them. */
final class AppAssets implements Assets, SelfTest.Decoder {
    private final AssetManager assets;

    AppAssets(AssetManager assets) {
        this.assets = assets;
    }

    @Override
    public InputStream open(String path) throws IOException {
        return assets.open(path);
    }

    @Override
    public ArrayPicture decode(String path) throws ModelException {
        try (InputStream in = assets.open(path)) {
            BitmapFactory.Options options = new BitmapFactory.Options();
            options.inScaled = false;
            Bitmap bitmap = BitmapFactory.decodeStream(in, null, options);
            if (bitmap == null) {
                throw new ModelException(path + " is empty or not a picture. Bundle the model again");
            }
            return Pictures.toPicture(bitmap);
        } catch (IOException error) {
            throw new ModelException(path + " cannot be read. Bundle the model again", error);
        }
    }
}
