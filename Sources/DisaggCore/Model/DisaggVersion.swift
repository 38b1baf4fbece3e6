/// The version of this package.
public enum DisaggVersion {
    /// Semantic version.
    public static let current = "0.1.0"
}
