/// How well the cost model meets a calibration, for people.
package enum CalibrationReport {
    /// A table of the rows, with and without the row itself in the fit.
    ///
    /// - Throws: ``CommandError`` where the model or GPU is unknown.
    package static func text(_ file: CalibrationFile, engine: EngineDescription) throws(CommandError) -> String {
        let calibration = Calibration(file, shape: try engine.shape(), gpu: try GPUCatalog.named(engine.gpu))
        func percent(_ value: Double) -> String { "\(value < 0 ? "" : "+")\(DecimalText.fixed(100 * value, 1)) %" }
        func right(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        var text = "\(right("measured", 46))\(right("model", 12))\(right("error", 10))\(right("left out", 10))\n"
        for residual in calibration.residuals {
            let name = residual.row.name
            text += name + right(DecimalText.fixed(residual.row.milliseconds, 3), max(0, 46 - name.count))
            text += right(DecimalText.fixed(residual.fitted, 3), 12) + right(percent(residual.fitError), 10)
            text += right(percent(residual.leftOutError), 10) + "\n"
        }
        text += "mean of the absolute errors of rows left out: "
        return text + "\(DecimalText.fixed(100 * calibration.meanLeftOutError, 1)) %\n"
    }
}
