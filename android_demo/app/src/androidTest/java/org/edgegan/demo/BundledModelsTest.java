package org.edgegan.demo;

import static org.junit.Assert.assertTrue;

import android.content.Context;
import androidx.test.ext.junit.runners.AndroidJUnit4;
import androidx.test.platform.app.InstrumentationRegistry;
import com.google.ai.edge.litert.Accelerator;
import org.edgegan.core.Bundle;
import org.edgegan.core.ModelCard;
import org.edgegan.core.ModelException;
import org.edgegan.core.Runner;
import org.edgegan.core.SelfTest;
import org.junit.Test;
import org.junit.runner.RunWith;

/** The self-test screen's checks on a device: ./gradlew :app:connectedAndroidTest */
@RunWith(AndroidJUnit4.class)
public class BundledModelsTest {
    @Test
    public void everyModelGivesItsGoldenOutputOnTheCpu() throws Exception {
        final Context context = InstrumentationRegistry.getInstrumentation().getTargetContext();
        AppAssets assets = new AppAssets(context.getAssets());
        Bundle bundle = new Bundle(assets);
        for (String id : bundle.models) {
            SelfTest.Result result = SelfTest.check(bundle, id, new SelfTest.Loader() {
                @Override
                public Runner load(ModelCard card) throws ModelException {
                    return new LiteRtRunner(context.getAssets(), card, Accelerator.CPU, 2);
                }
            }, assets);
            assertTrue(id + ": " + result.message, result.passed);
        }
    }
}
