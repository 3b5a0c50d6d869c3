package org.edgegan.core;

/** What model.json tells about one bundled model: its file, tensors, costs and how it was proved. */
public final class ModelCard {
    public static final int SCHEMA_VERSION = 1;

    public final String id;
    public final String title;
    public final String role;
    public final String family;
    public final String precision;
    public final String quantization;
    public final String target;
    public final String file;
    public final long bytes;
    public final String sha256;
    public final TensorInfo input;
    public final TensorInfo output;
    /** Sides of the output to those of the input, reduced: numerator and denominator. */
    public final int enlarges;
    public final int reduces;
    public final long parameters;
    public final long macs;
    public final long macsPublished;
    public final long macsFvcore;
    /** Id of the teacher's model, or null. */
    public final String parent;
    /** PSNR of the conversion to PyTorch, dB. */
    public final double parityPsnrDb;
    /** PSNR to the teacher on validation pictures, dB; NaN when not known. */
    public final double psnrToTeacherDb;
    public final String licence;
    public final Golden golden;

    /** Paths of the golden tensors below the model's folder, their hashes and the tolerance. */
    public static final class Golden {
        public final String input;
        public final String output;
        public final String picture;
        public final String inputSha256;
        public final String outputSha256;
        /** Largest mean absolute difference to the golden output, in units of the tensor. */
        public final double maxMeanAbs;

        private Golden(JsonObject json) throws ModelException {
            input = safePath(json, "input");
            output = safePath(json, "output");
            picture = safePath(json, "picture");
            inputSha256 = hash(json, "input_sha256");
            outputSha256 = hash(json, "output_sha256");
            maxMeanAbs = json.number("max_mean_abs");
        }
    }

    private ModelCard(JsonObject json) throws ModelException {
        long version = json.whole("schema_version");
        if (version != SCHEMA_VERSION) {
            throw new ModelException("schema_version is " + version + "; this app reads " + SCHEMA_VERSION
                    + ". Bundle the model again with the edgegan of this app");
        }
        id = json.text("id");
        title = json.text("title");
        role = json.text("role");
        family = json.text("family");
        precision = json.text("precision");
        quantization = json.text("quantization");
        target = json.text("target");
        if (!target.equals("tflite")) {
            throw new ModelException("target is \"" + target + "\"; this app runs tflite only");
        }
        file = safePath(json, "file");
        bytes = json.whole("bytes");
        sha256 = hash(json, "sha256");
        input = TensorInfo.read(json.only("inputs"));
        output = TensorInfo.read(json.only("outputs"));
        long[] ratio = json.has("enlarges") ? json.fraction("enlarges") : new long[] {1, 1};
        if (output.height != enlarged(input.height, ratio[0], ratio[1])
                || output.width != enlarged(input.width, ratio[0], ratio[1])) {
            throw new ModelException("outputs.0.shape is " + output.width + "x" + output.height + " of "
                    + input.width + "x" + input.height + ", but enlarges is " + ratio[0] + "/" + ratio[1]);
        }
        enlarges = (int) ratio[0];
        reduces = (int) ratio[1];
        parameters = json.whole("parameters");
        macs = json.whole("macs");
        JsonObject complexity = json.object("complexity");
        macsPublished = complexity.whole("macs_published");
        macsFvcore = complexity.whole("macs_fvcore");
        parent = json.textOr("parent", null);
        parityPsnrDb = json.object("parity").number("psnr_db");
        psnrToTeacherDb = json.has("psnr_to_teacher_db") ? json.number("psnr_to_teacher_db") : Double.NaN;
        licence = json.text("licence");
        golden = new Golden(json.object("golden"));
    }

    /** A side of what the model makes of a picture with this side. */
    public int enlarged(int side) {
        return (int) enlarged(side, enlarges, reduces);
    }

    private static long enlarged(long side, long numerator, long denominator) {
        return (side * numerator + denominator - 1) / denominator;
    }

    /** Reads model.json; raises ModelException that names `source`, the key and what is wrong with it. */
    public static ModelCard read(String text, String source) throws ModelException {
        try {
            return new ModelCard(new JsonObject(Json.parse(text), ""));
        } catch (ModelException error) {
            throw new ModelException(source + ": " + error.getMessage()
                    + ". Make it again with: edgegan bundle RUN --overwrite", error);
        }
    }

    /** The card in a few lines, for lists. */
    public String summary() {
        boolean same = input.width == output.width && input.height == output.height;
        String makes = same ? "" : " to " + output.width + "x" + output.height;
        return String.format(java.util.Locale.ROOT,
                "%s, %s (%s)%n%dx%d%s, %.2f MB, %.2f GMACs, %,d parameters%n%sPSNR to PyTorch %.1f dB%nLicence: %s",
                family, precision, quantization, input.width, input.height, makes, bytes / 1e6, macs / 1e9,
                parameters,
                Double.isNaN(psnrToTeacherDb) ? ""
                        : String.format(java.util.Locale.ROOT, "PSNR to teacher %.2f dB, ", psnrToTeacherDb),
                parityPsnrDb, licence);
    }

    private static String hash(JsonObject json, String key) throws ModelException {
        String text = json.text(key);
        if (!text.matches("[0-9a-f]{64}")) {
            throw new ModelException(json.name(key) + " is not a sha256 in lower-case hex");
        }
        return text;
    }

    private static String safePath(JsonObject json, String key) throws ModelException {
        String text = json.text(key);
        if (!text.matches("[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")) {
            throw new ModelException(json.name(key) + " \"" + text + "\" is not a plain file name below the model");
        }
        return text;
    }
}
