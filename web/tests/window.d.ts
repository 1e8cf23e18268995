interface Window {
  /** What a test asks of the page that it shows. */
  options: {
    /** Has React run everything twice. */
    strict?: boolean;
    /** Has book kept of listeners and timers. */
    holders?: boolean;
    /** Leaves all options of the leak watch as they are by default, and all sweeps to it. */
    defaults?: boolean;
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
    /** Has the page isolated from other origins, by the headers that it is served with. */
    isolated?: boolean;
    /** The only way that is left to send something from a page that goes. */
    way?: 'fetchLater' | 'sendBeacon' | 'fetch';
    /** Has the heap measured at each look where that is drawn by lot. */
    often?: boolean;
    /** The page's Content-Security-Policy. */
    policy?: string;
    /** What the development overlay is given. */
    overlay?: object;
  };
}
