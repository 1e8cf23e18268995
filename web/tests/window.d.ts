interface Window {
  /** What a test asks of the page that it shows. */
  options: {
    /** Has React run everything twice. */
    strict?: boolean;
    /** Has book kept of listeners and timers. */
    holders?: boolean;
    /** Has the page watched. */
    sampled?: boolean;
    /** Whether the page has a watch of its own. */
    watched?: boolean;
    /** Which components the page shows, if not all. */
    kinds?: string[];
    /** Where the page sends its reports. */
    endpoint?: string;
    /** Has the page watched at all; its twin is not. */
    watched?: boolean;
    /** The page's Content-Security-Policy. */
    policy?: string;
    /** What the development overlay is given. */
    overlay?: object;
  };
}
