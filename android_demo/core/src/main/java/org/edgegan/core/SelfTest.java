package org.edgegan.core;

import java.util.Locale;

/** Proves a bundled model on the machine it is on: hashes, preprocessing, golden input to golden output. */
public final class SelfTest {
    /** What came out for one model. */
    public static final class Result {
        public final String id;
        public final boolean passed;
        public final String message;

        Result(String id, boolean passed, String message) {
            this.id = id;
            this.passed = passed;
            this.message = message;
        }
    }

    /** Loads the model of a card. */
    public interface Loader {
        Runner load(ModelCard card) throws ModelException;
    }

    /** Decodes an asset's picture. */
    public interface Decoder {
        ArrayPicture decode(String path) throws ModelException;
    }

    private SelfTest() {}

    /** Tests one model; nothing is thrown for what a broken bundle or runtime can cause. */
    public static Result check(Bundle bundle, String id, Loader loader, Decoder decoder) {
        try {
            ModelCard card = bundle.card(id);
            bundle.checkModel(card);
            float[][] golden = bundle.golden(card);
            ArrayPicture picture = decoder.decode(Bundle.folder(id) + card.golden.picture);
            if (picture.width() != card.input.width || picture.height() != card.input.height) {
                throw new ModelException("the golden picture is " + picture.width() + "x" + picture.height()
                        + ", the model takes " + card.input.width + "x" + card.input.height);
            }
            float[] prepared = new float[card.input.count()];
            Tensors.toTensor(picture.argb, picture.argb.length, card.input, prepared);
            double preparation = Comparison.maxAbs(prepared, golden[0]);
            if (!(preparation <= 1e-6)) {
                throw new ModelException(String.format(Locale.ROOT,
                        "the golden picture becomes another tensor here: largest difference %.3g", preparation));
            }
            float[] made = new float[card.output.count()];
            try (Runner runner = loader.load(card)) {
                runner.run(golden[0], made);
            }
            double mean = Comparison.meanAbs(made, golden[1]);
            String figures = String.format(Locale.ROOT, "mean difference %.3g, largest %.3g, limit %.3g (mean)",
                    mean, Comparison.maxAbs(made, golden[1]), card.golden.maxMeanAbs);
            if (!(mean <= card.golden.maxMeanAbs)) {
                return new Result(id, false, "the output is not the golden output: " + figures);
            }
            return new Result(id, true, figures);
        } catch (ModelException error) {
            return new Result(id, false, error.getMessage());
        }
    }
}
