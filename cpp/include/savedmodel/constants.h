// SPDX-License-Identifier: Apache-2.0
// The names that the SavedModel format fixes, as in TensorFlow's C++ and tf.saved_model.
#pragma once

namespace savedmodel {

// Tags of a MetaGraph: LoadOptions::tags.
inline constexpr char kSavedModelTagServe[] = "serve";
inline constexpr char kSavedModelTagTrain[] = "train";
inline constexpr char kSavedModelTagEval[] = "eval";
inline constexpr char kSavedModelTagGpu[] = "gpu";
inline constexpr char kSavedModelTagTpu[] = "tpu";

// The signature that runs if none is named.
inline constexpr char kDefaultServingSignatureDefKey[] = "serving_default";

// Method names of signatures (Signature::method_name), and the keys that each of them fixes.
inline constexpr char kPredictMethodName[] = "tensorflow/serving/predict";
inline constexpr char kPredictInputs[] = "inputs";
inline constexpr char kPredictOutputs[] = "outputs";
inline constexpr char kClassifyMethodName[] = "tensorflow/serving/classify";
inline constexpr char kClassifyInputs[] = "inputs";
inline constexpr char kClassifyOutputClasses[] = "classes";
inline constexpr char kClassifyOutputScores[] = "scores";
inline constexpr char kRegressMethodName[] = "tensorflow/serving/regress";
inline constexpr char kRegressInputs[] = "inputs";
inline constexpr char kRegressOutputs[] = "outputs";

// Files of a SavedModel.
inline constexpr char kSavedModelFilenamePb[] = "saved_model.pb";
inline constexpr char kSavedModelFilenamePbTxt[] = "saved_model.pbtxt";
inline constexpr char kSavedModelVariablesDirectory[] = "variables";
inline constexpr char kSavedModelVariablesFilename[] = "variables";
inline constexpr char kSavedModelAssetsDirectory[] = "assets";
inline constexpr char kSavedModelAssetsExtraDirectory[] = "assets.extra";
inline constexpr char kSavedModelDebugDirectory[] = "debug";
inline constexpr char kSavedModelDebugInfoFilenamePb[] = "saved_model_debug_info.pb";
inline constexpr int kSavedModelSchemaVersion = 1;

// Collections of a MetaGraph.
inline constexpr char kSavedModelAssetsKey[] = "saved_model_assets";
inline constexpr char kSavedModelMainOpKey[] = "saved_model_main_op";
inline constexpr char kSavedModelLegacyInitOpKey[] = "legacy_init_op";

}  // namespace savedmodel
