plugins {
    id("com.android.application")
}

android {
    namespace = "org.edgegan.demo"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.edgegan.demo"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "0.1"
        testInstrumentationRunner = "androidx.test.runner.AndroidJUnitRunner"
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    androidResources {
        noCompress += listOf("tflite", "f32") // stored, so that models are mapped instead of copied
    }
    packaging {
        jniLibs {
            useLegacyPackaging = false // libraries stay in the APK, aligned to 16 KB
        }
    }
}

// The record of the benchmark screen names this version, see litert_version in res/values/strings.xml.
val litert = "2.3.2"

dependencies {
    implementation(project(":core"))
    implementation("com.google.ai.edge.litert:litert:$litert")
    implementation("com.google.ai.edge.litert:litert-gpu:$litert") // without it asking for the GPU fails
    androidTestImplementation("androidx.test:runner:1.6.2")
    androidTestImplementation("androidx.test.ext:junit:1.2.1")
}

tasks.named("preBuild") {
    doFirst {
        check(file("src/main/assets/models/index.json").exists()) {
            "no model in the app; bundle one with: edgegan bundle RUN --target android --into android_demo"
        }
    }
}
